const response = await fetch('https://staging.bytelog.io/api/v1/events/trace/:trace_id', {
    headers: {
        Authorization: "Bearer example_api_key",
    }
});
const { count, events } = await response.json();
