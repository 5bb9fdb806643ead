"""What stands behind policies/llm.py: labels, prompt, request, cache, budget, and what a reply means."""
