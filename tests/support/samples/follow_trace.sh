curl "https://staging.bytelog.io/api/v1/events/trace/:trace_id" \
  -H "Authorization: Bearer example_api_key"
