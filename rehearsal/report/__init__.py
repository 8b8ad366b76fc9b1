"""What a person sees of a rehearsal: progress lines, summary.json and summary.html."""
