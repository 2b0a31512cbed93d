"""The worker side: visits hosts over SSH; knows neither Django nor the database."""
