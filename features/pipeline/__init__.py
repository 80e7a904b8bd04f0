"""From folder to tracks: discovery > planner > extractor (video pass, feature buffer, sound)."""
