"""What a timeline consists of: frames grouped by columns of pixels, lanes of tasks and measures."""
