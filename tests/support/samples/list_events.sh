curl "https://staging.bytelog.io/api/v1/events" \
  -H "Authorization: Bearer example_api_key"
