curl "https://staging.bytelog.io/api/v1/events" \
  -X POST \
  -H "Authorization: Bearer example_api_key" \
  -H "Content-Type: application/json" \
  -d '{"id": 1,"name": "click","trace_id": "03775690","date": "2021-07-04 13:34:56","data": {"clicked_on": "sign up button"}'
