"""The XML of configuration documents, one module an area: `parse` makes a dataclass of it, `render` writes one."""
