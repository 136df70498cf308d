"""The lesions of one participant at two sessions, matched. Arrays only."""
