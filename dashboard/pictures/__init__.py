"""Pictures as SVG, drawn on the server: they are there without JavaScript too."""
