"""Actions of alarms and schedules, and the alarms on the pipeline itself."""
