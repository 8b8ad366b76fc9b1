"""What a job publishes: the files of a version, quantised or not, its report and its bill of materials."""
