# What the room offers; loaded on first use.
from .building import Report as Report
from .building import ReportOptions as ReportOptions
from .building import write_report as write_report
