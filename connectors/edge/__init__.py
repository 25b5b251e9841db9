"""Reports of edge devices in JSON lines."""
