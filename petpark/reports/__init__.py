"""Reports on an endpoint: the monthly report for management, the monitoring page for engineers."""
