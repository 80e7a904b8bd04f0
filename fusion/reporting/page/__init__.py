"""The review page of a video, and the index of many: one HTML file each, without network."""
