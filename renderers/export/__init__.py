"""Writing drawings to files: one small module a format. Each registers itself (see ``renderers.formats``)."""
