"""Official metrics: sufficient statistics, intervals, calibration, evaluation."""
