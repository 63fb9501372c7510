#!/bin/sh
# bytelog's client for a POSIX shell and curl, in a single file without other dependencies.
#
#     export BYTELOG_URL=http://127.0.0.1:8000 BYTELOG_API_KEY=YOUR_API_KEY
#     sh bytelog.sh record 5 paypal_payment 03758690 '{"client_id": "17039485"}'
#     sh bytelog.sh trace 03758690
#
# In a script, or at the prompt of sh, bash or zsh, write `. ./bytelog.sh` and call the functions
# below. They return 0 on success, 1 if the server refuses, 2 for wrong usage, and 3 if the server
# is unavailable or busy. Before they return 3, they retry BYTELOG_RETRIES (5) times and wait
# BYTELOG_TIMEOUT (10) seconds for each response; an event is stored only once. Errors are written
# to standard error.

# bytelog_record ID NAME TRACE_ID [DATA] [DATE]
#   Records an event. DATA is a JSON object; DATE defaults to the current time.
bytelog_record() (
  [ $# -ge 3 ] || _bytelog_usage
  _bytelog_start
  event="{\"id\": $1, \"name\": $(_bytelog_encode "$2"), \"trace_id\": $(_bytelog_encode "$3")"
  [ -z "${4:-}" ] || event="$event, \"data\": $4"
  [ -z "${5:-}" ] || event="$event, \"date\": $(_bytelog_encode "$5")"
  _bytelog_post application/json "$event}"
)

# bytelog_record_many
#   Records the events on standard input, one JSON object per line, in batches of up to 1000; each
#   batch is stored as a whole or not at all. After a second without a line, and at the latest after
#   5 seconds, it sends a smaller batch, so standard input may be the output of `tail -f`. At the end
#   of standard input, and at SIGTERM or Ctrl-C, it sends the rest.
bytelog_record_many() (
  _bytelog_record_input
)

# bytelog_events [START [END]] [PARAMETER=VALUE]...
#   Writes the events from START up to but not including END to standard output, one JSON object
#   per line. The parameters are those of the API: name=click, order=newest,
#   data.client_id=17039485.
bytelog_events() (
  _bytelog_start
  # Read page by page, so that a page that breaks off can be requested again.
  _bytelog_get '' limit=1000 "$@" || exit
  while printf '%s' "$body" && [ -n "$body" ] && [ -n "$next" ]; do
    _bytelog_send "$next" '' || exit
  done
)

# bytelog_trace TRACE_ID
#   Writes the events of a trace to standard output, one JSON object per line.
bytelog_trace() (
  [ $# -eq 1 ] || _bytelog_usage
  bytelog_events "trace_id=$1"
)

# bytelog_query ENDPOINT [START [END]] [PARAMETER=VALUE]...
#   Writes the answer of an endpoint to standard output, a JSON object: summary, names, paths,
#   paths/diff, traces or funnel. The parameters are those of the API: step=visit step=order.
bytelog_query() (
  [ $# -ge 1 ] || _bytelog_usage
  _bytelog_start
  accepted=application/json
  _bytelog_get "$@" || exit
  case $body in
    '{'?*'}') printf '%s\n' "$body" ;;
    *)
      echo "bytelog: 200 without an object $_bytelog_foreign" >&2
      return 1
      ;;
  esac
)

_bytelog_newline='
'
_bytelog_return=$(printf '\r')
_bytelog_mark=$(printf '\036') # a control character, which no JSON contains
_bytelog_foreign='is not a response of bytelog; check the URL, and proxies and login pages before it'

_bytelog_start() {
  export LC_ALL=C
  accepted=application/x-ndjson
  # Words and patterns mean in zsh what they mean in sh; the caller's subshell ends this.
  [ -z "${ZSH_VERSION:-}" ] || emulate sh
}

_bytelog_usage() {
  cat >&2 <<USAGE
usage: bytelog.sh record ID NAME TRACE_ID [DATA] [DATE]
       bytelog.sh record-many < events.ndjson
       bytelog.sh events [START [END]] [PARAMETER=VALUE]...
       bytelog.sh trace TRACE_ID
       bytelog.sh query ENDPOINT [START [END]] [PARAMETER=VALUE]...
Set BYTELOG_URL to the server and BYTELOG_API_KEY to the key.
USAGE
  exit 2
}

# Runs two processes: one that reads lines and sends batches, and one that copies standard input to
# it through a pipe. Signals come to this process, which ends the input; ticks in the pipe are the
# timer of the first, because not every shell can wait for a line for a limited time.
_bytelog_record_input() {
  _bytelog_start
  folder=$(mktemp -d) && mkfifo "$folder/lines" || return
  trap : INT TERM
  exec 3<&0
  _bytelog_record_lines <"$folder/lines" 3<&- &
  recorder=$!
  exec 4>"$folder/lines"
  rm -r "$folder"
  (trap '' INT TERM && exec cat <&3 >&4 3<&- 4>&-) &
  source=$!
  _bytelog_tick "$source" </dev/null >&4 2>/dev/null 3<&- 4>&- &
  ticker=$!
  # The last line may lack its end.
  wait "$source" 2>/dev/null && end='\n' || _bytelog_end_input
  trap '' PIPE
  # Without messages of the shell about processes that were killed.
  {
    printf "$end"'\036\036\n' >&4
    exec 4>&-
    kill -KILL "$source" "$ticker"
    wait "$recorder"
  } 2>/dev/null
}

# Copies for another second what has been written; a line that is incomplete then is left out.
_bytelog_end_input() {
  trap - INT TERM
  (sleep 1 && kill -KILL "$source") </dev/null >/dev/null 2>&1 3<&- 4>&- &
  killer=$! end=''
  wait "$source" 2>/dev/null
  kill "$killer" 2>/dev/null
}

# Writes a tick each second while the process runs whose output it interrupts; ends that process if
# nobody reads the ticks any more.
_bytelog_tick() { # PROCESS
  trap '' PIPE
  while sleep 1 && kill -0 "$1"; do
    printf '\036\n' || kill -KILL "$1"
  done
}

_bytelog_record_lines() {
  trap '' INT TERM
  batch='' count=0 count_before=0 age=0 begun=''
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      *"$_bytelog_mark$_bytelog_mark") break ;;
      *"$_bytelog_mark")
        # A tick may interrupt a line.
        begun=$begun${line%"$_bytelog_mark"}
        age=$((age + 1))
        [ "$count" -ne "$count_before" ] && [ $age -lt 5 ] || _bytelog_record_batch
        count_before=$count
        continue
        ;;
    esac
    line=$begun$line begun=''
    [ -n "$line" ] || continue
    if [ "$count" -eq 1000 ] || [ $((${#batch} + ${#line})) -gt 1048576 ]; then
      _bytelog_record_batch
    fi
    batch=$batch$line$_bytelog_newline
    count=$((count + 1))
  done
  _bytelog_record_batch
}

_bytelog_record_batch() {
  [ -z "$batch" ] || _bytelog_post application/x-ndjson "$batch" || exit
  batch='' count=0 age=0
}

_bytelog_get() { # ENDPOINT [START [END]] [PARAMETER=VALUE]...
  endpoint=$1 query='' first=start
  shift
  for argument; do
    case $argument in
      *=*) ;;
      '') first=end && continue ;;
      *) argument=$first=$argument first=end ;;
    esac
    query="$query
      data-urlencode = $(_bytelog_quote "$argument")"
  done
  _bytelog_send "${endpoint:+/$endpoint}" "get$query"
}

_bytelog_post() { # MEDIA_TYPE BODY
  id=$(od -An -v -N16 -tx1 /dev/urandom | tr -d ' \n')
  _bytelog_send '' "
    data-binary = \"@-\"
    header = \"Content-Type: $1\"
    header = \"Idempotency-Key: $id\"" "$2"
}

# Sets `body`, and `next` to the query of the next page.
_bytelog_send() { # PATH CONFIG BODY
  [ -n "${BYTELOG_URL:-}" ] && [ -n "${BYTELOG_API_KEY:-}" ] || _bytelog_usage
  # A key from a file or a secret may end with a line end.
  key=$(_bytelog_trim "$BYTELOG_API_KEY") url=$(_bytelog_trim "$BYTELOG_URL")
  case $key in
    *[[:cntrl:]]*)
      echo 'bytelog: The API key contains a line end or another control character.' >&2
      return 2
      ;;
  esac
  attempt=0
  while :; do
    _bytelog_try "$@"
    case $#:$http_status:$media_type in
      3:201:* | 2:200:"$accepted"*) return 0 ;;
      *:2??:*) body="$media_type $_bytelog_foreign" ;;
    esac
    case $http_status in
      # Busy, or a proxy that cannot reach the server; 520 to 524 are Cloudflare's.
      000 | 409 | 429 | 502 | 503 | 504 | 52[0-4]) code=3 ;;
      *) code=1 ;;
    esac
    seconds=$(_bytelog_retry_after)
    if [ $code -eq 1 ] || [ $attempt -ge "${BYTELOG_RETRIES:-5}" ] || [ "$seconds" -gt 60 ]; then
      case $http_status:$media_type in
        000:* | 2* | *:application/json* | *:application/problem+json*) ;;
        *) body=${headers%%"$_bytelog_return"*} body=${body#*"$http_status "} ;;
      esac
      printf 'bytelog: %s\n' "$http_status $body" >&2
      return $code
    fi
    # The random part spreads the retries of many clients.
    random=$(od -An -N2 -tu2 /dev/urandom)
    sleep $((seconds + random % ((1 << (attempt < 5 ? attempt : 5)) + 1)))
    attempt=$((attempt + 1))
  done
}

_bytelog_try() { # PATH CONFIG BODY
  # Pass the key in a file: ps shows arguments to every user of the machine.
  response=$(
    printf '%s' "${3:-}" | curl -q --config /dev/fd/3 3<<CONFIG
    url = $(_bytelog_quote "${url%/}/api/v1/events$1")
    header = $(_bytelog_quote "Authorization: Bearer $key")
    header = "Accept: $accepted, application/problem+json"
    header = "Expect:"
    globoff
    include
    suppress-connect-headers
    silent
    show-error
    connect-timeout = ${BYTELOG_TIMEOUT:-10}
    max-time = ${BYTELOG_TIMEOUT:-10}
    write-out = "\\n%{http_code} %{content_type}"
    $2
CONFIG
  ) || response="no response from $BYTELOG_URL${_bytelog_newline}000 "
  http_status=${response##*"$_bytelog_newline"}
  response=${response%"$_bytelog_newline$http_status"}
  media_type=${http_status#* } http_status=${http_status%% *}
  line_end=$_bytelog_return$_bytelog_newline
  headers=${response%%"$line_end$line_end"*}
  body=${response#"$headers$line_end$line_end"}
  next=$(_bytelog_header '[Ll]ink: <' '>')
}

_bytelog_header() { # NAME END: prints the value of a header up to END
  case $headers in
    *"$_bytelog_newline"$1*) ;;
    *) return ;;
  esac
  value=${headers#*"$_bytelog_newline"$1}
  printf '%s' "${value%%$2*}"
}

# Prints the seconds of a Retry-After, a number or a date (RFC 9110 section 10.2.3).
_bytelog_retry_after() {
  value=$(_bytelog_header '[Rr]etry-[Aa]fter: ' "$_bytelog_return")
  case $value in
    ???,\ [0-9][0-9]\ [A-Z]??\ [0-9][0-9][0-9][0-9]\ [0-9][0-9]:[0-9][0-9]:[0-9][0-9]\ GMT)
      value=$(($(_bytelog_epoch "$value") - $(date +%s)))
      ;;
    *[!0-9]* | '') value=0 ;;
    ????*) value=999 ;; # longer than anybody waits
  esac
  # A leading 0 would make an octal number.
  value=${value#"${value%%[!0]*}"}
  case $value in
    -* | '') value=0 ;;
  esac
  printf '%s' "$value"
}

_bytelog_epoch() ( # DATE: prints an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT` in Unix time
  IFS=' :'
  set -- $1
  months=JanFebMarAprMayJunJulAugSepOctNovDec
  before=${months%"$3"*}
  # Years that begin in March end with the leap day.
  month=$((${#before} / 3 + 1)) year=$4
  [ $month -gt 2 ] || { month=$((month + 12)) year=$((year - 1)); }
  days=$((365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + ${2#0} - 719469))
  echo $((((days * 24 + ${5#0}) * 60 + ${6#0}) * 60 + ${7#0}))
)

_bytelog_trim() { # TEXT: prints it without the whitespace around it
  text=${1#"${1%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}

_bytelog_quote() { # TEXT: quotes it for curl's configuration
  printf '"%s"' "$(printf '%s\n' "$1" | sed -e 's/[\\"]/\\&/g' -e '$!s/$/\\n/' | tr -d '\n')"
}

_bytelog_encode() { # TEXT: encodes it as a JSON string
  rest=$1 text=
  while :; do
    plain=${rest%%[\"\\[:cntrl:]]*}
    text=$text$plain rest=${rest#"$plain"}
    [ -n "$rest" ] || break
    special=${rest%"${rest#?}"} rest=${rest#?}
    text=$text$(printf '\\u%04x' "'$special")
  done
  printf '"%s"' "$text"
}

# In zsh, $0 is the name of the file even if it is sourced.
case ${ZSH_EVAL_CONTEXT:-}:${0##*/} in
  *:file:*) ;;
  *:bytelog.sh | *:bytelog)
    case ${1:-} in
      record | events | trace | query) command=bytelog_$1 ;;
      # In this process, which gets the signals.
      record-many) command=_bytelog_record_input ;;
      *) _bytelog_usage ;;
    esac
    shift
    "$command" "$@"
    ;;
esac
