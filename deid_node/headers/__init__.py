"""Header de-identification by profiles of PS3.15 Annex E."""
