"""What ops see: JSON logs with secrets and numbers masked, and Prometheus metrics."""
