"""The tools, one module for each thing that they are about; each has its TOOLS."""
