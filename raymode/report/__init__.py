"""Figures and one self-contained HTML page about a sweep; nothing in raymode imports this room."""
