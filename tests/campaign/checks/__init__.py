"""What must hold of every trace."""
