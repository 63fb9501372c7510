"""`bytelog mcp`: the API for language models, over the Model Context Protocol.

Optional: this folder and its command can be deleted. Imports the Python client alone, and the
package `mcp` of the extra `bytelog[mcp]`.
"""
