# What the room offers; loaded on first use.
from .opening import open_scan as open_scan
from .opening import scan_info as scan_info
from .opening import scan_pages as scan_pages
