const response = await fetch('https://staging.bytelog.io/api/v1/events', {
    method: "POST",
    headers: {
        "Authorization": "Bearer example_api_key",
        "Content-Type": "application/json"
    },
    body: JSON.stringify({
        "id": 1,
        "name": "click",
        "trace_id": "03775690",
        "data": {
            "clicked_on": "sign up button"
        }
    })
});
