# frozen_string_literal: true

# bytelog's client for Ruby 3.1 and newer, in a single file without dependencies.
#
#   require_relative "bytelog"
#
#   client = Bytelog::Client.new(url: "http://127.0.0.1:8000", key: "YOUR_API_KEY")
#   client.record(id: 5, name: "paypal_payment", trace_id: "03758690", data: { client_id: "17039485" })
#   client.trace("03758690") { |event| puts event["name"] }

require "json"
require "net/http"
require "openssl"
require "securerandom"
require "time"
require "uri"

module Bytelog
  BATCH_EVENTS = 1000
  BATCH_BYTES = 1024 * 1024
  PAGE_EVENTS = 1000
  MAX_QUEUE_BYTES = 16 * 1024 * 1024 # events beyond this are dropped
  BATCH_DELAY_SECONDS = 0.5 # how long the background waits for more events of a batch
  RETRY_SECONDS = 10 # how long the background waits after it failed to send
  IS_STRICT = Net::HTTP.method_defined?(:ignore_eof=) # Ruby 3.1 accepts a body that breaks off
  # Busy, or a proxy that cannot reach the server; 520 to 524 are Cloudflare's.
  TEMPORARY_STATUSES = [409, 429, 502, 503, 504, 520, 521, 522, 523, 524].freeze
  FOREIGN = "is not a response of bytelog; check the URL, and proxies and login pages before it"
  MAX_RETRY_AFTER_SECONDS = 60 # for a longer Retry-After, raise the error instead of waiting

  # A request failed: +status+ is the HTTP status, nil if there was no response.
  class Error < StandardError
    attr_reader :status, :retry_after

    def initialize(message, status: nil, retry_after: 0)
      super(message)
      @status = status
      @retry_after = retry_after
    end

    # Whether the same request may succeed within a minute.
    def temporary?
      (status.nil? || TEMPORARY_STATUSES.include?(status)) && retry_after <= MAX_RETRY_AFTER_SECONDS
    end
  end

  # Records events and reads them; safe to share between threads.
  class Client
    # +url+ and +key+ default to the environment variables BYTELOG_URL and BYTELOG_API_KEY. If the
    # server is unavailable, busy, or silent for +timeout+ seconds, a request is retried up to
    # +retries+ times; an event is stored only once. With +background+, recording only queues events:
    # a thread sends them in batches, the last ones when the program exits, also by SIGTERM;
    # #dropped counts those that were not stored. <tt>exit!</tt> loses what is queued.
    def initialize(url: ENV.fetch("BYTELOG_URL"), key: ENV.fetch("BYTELOG_API_KEY"), timeout: 10, retries: 5,
                   background: false)
      key = key.strip
      raise ArgumentError, "The API key contains a line end or another control character." if key.match?(/[[:cntrl:]]/)

      @uri = URI("#{url.strip.chomp("/")}/api/v1/events")
      @headers = { "Authorization" => "Bearer #{key}", "Accept" => "application/json, application/problem+json" }
      # Without compression, the length of a body tells whether it is whole.
      @headers["Accept-Encoding"] = "identity" unless IS_STRICT
      @timeout = timeout
      @retries = retries
      @queue = EventQueue.new { |batch| post(batch) } if background
    end

    # Records an event; unless queued, it is stored when this returns. +date+, a Time or a String,
    # defaults to the current time; a String without a time zone is UTC.
    def record(id:, name:, trace_id:, data: {}, date: nil)
      record_many([{ id:, name:, trace_id:, data:, date: }.compact])
    end

    # Records events, hashes with the arguments of #record, in batches of up to 1000; each batch is
    # stored as a whole or not at all.
    def record_many(events)
      if @queue
        events.each { |event| @queue.put(encode({ date: Time.now, **event.transform_keys(&:to_sym) })) }
      else
        Batch.split(events.lazy.map { |event| encode(event) }).each { |batch| post(batch) }
      end
    end

    # Yields the events from +start:+ up to but not including +end:+; without a block, returns an
    # Enumerator. Other arguments are parameters of the API: <tt>name: "click"</tt>,
    # <tt>order: "newest"</tt>, <tt>"data.client_id": "17039485"</tt>. An Array gives a
    # parameter several times.
    def events(**window)
      return enum_for(:events, **window) unless block_given?

      uri = build_uri(@uri, limit: PAGE_EVENTS, **window)
      while uri
        response = request(Net::HTTP::Get.new(uri, @headers))
        page = parse_object(response.body)["events"]
        raise Error.new("200 without events #{FOREIGN}", status: 200) unless page.is_a?(Array)

        page.each { |event| yield event }
        # In order of arrival every page has a next one; an empty page is the last.
        next_page = response["Link"]&.[](/<([^>]*)>; rel="next"/, 1)
        uri = next_page && page.any? ? URI.join(uri, next_page) : nil
      end
    end

    # Yields the events of a trace; without a block, returns an Enumerator.
    def trace(trace_id, &block)
      events(trace_id:, &block)
    end

    # Returns the answer of an endpoint, a Hash: +summary+, +names+, +paths+, <tt>paths/diff</tt>,
    # +traces+ or +funnel+. The arguments are parameters of the API:
    # <tt>step: ["visit", "order"]</tt>, <tt>from: "order"</tt>.
    def query(endpoint, **parameters)
      uri = build_uri("#{@uri}/#{endpoint}", **parameters)
      answer = parse_object(request(Net::HTTP::Get.new(uri, @headers)).body)
      raise Error.new("200 without an object #{FOREIGN}", status: 200) if answer.empty?

      answer
    end

    # The number of events that the background failed to store.
    def dropped
      @queue ? @queue.dropped : 0
    end

    # Sends all queued events. Raises Error if the server cannot accept them now; they remain queued.
    def flush
      @queue&.flush
    end

    # Sends all queued events and drops those that fail; also done when the program exits.
    def close
      @queue&.close
    end

    private

    def build_uri(address, **parameters)
      query = parameters.compact.transform_values { |value| format_date(value) }
      URI("#{address}?#{URI.encode_www_form(query)}")
    end

    def encode(event)
      JSON.generate(event.transform_values { |value| format_date(value) })
    end

    def format_date(value)
      value.is_a?(Time) ? value.iso8601(3) : value
    end

    def post(batch)
      headers = { "Content-Type" => "application/json", "Idempotency-Key" => batch.key }
      post = Net::HTTP::Post.new(@uri, @headers.merge(headers))
      post.body = batch.body
      request(post)
    end

    def request(request)
      attempt = 0
      begin
        try(request)
      rescue Error => error
        raise if attempt >= @retries || !error.temporary?

        # Full jitter spreads the retries of many clients.
        sleep(error.retry_after + rand * [0.5 * 2**attempt, 30].min)
        attempt += 1
        retry
      end
    end

    def try(request)
      response = Net::HTTP.start(@uri.hostname, @uri.port, **connection) { |http| http.request(request) }
      raise EOFError, "the response breaks off" unless IS_STRICT || whole?(response)
      return response if expected?(request, response)

      raise Error.new(format_error(response), status: response.code.to_i, retry_after: parse_retry_after(response["Retry-After"]))
    rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError,
           Net::ProtocolError, Net::HTTPBadResponse, Net::HTTPHeaderSyntaxError, Zlib::Error => error
      raise Error, "no response from #{@uri.host}: #{error.message}"
    end

    def whole?(response)
      response.content_length.nil? || response.body.to_s.bytesize == response.content_length
    end

    def expected?(request, response)
      return response.code == "201" if request.is_a?(Net::HTTP::Post)

      response.code == "200" && response.content_type == "application/json"
    end

    def connection
      # By default, Ruby accepts a response that ends early.
      strict = { ignore_eof: false, max_retries: 0 }
      timeouts = { open_timeout: @timeout, read_timeout: @timeout, write_timeout: @timeout }
      { use_ssl: @uri.scheme == "https", **strict, **timeouts }
    end

    def format_error(response)
      return "#{response.code} #{response.content_type} #{FOREIGN}" if response.is_a?(Net::HTTPSuccess)

      # A gateway may have written it: every member is optional (RFC 9457 section 3.1).
      problem = parse_object(response.body)
      fields = Array(problem["errors"]).grep(Hash)
      details = fields.map { |field| field.values.join(" ") }
      details << problem["detail"] if details.empty? && problem["detail"]
      title = problem["error"] || problem["title"] || response.message
      ["#{response.code} #{title}", *(details.join("; ") if details.any?)].join(": ")
    end

    # The seconds of a Retry-After, a number or a date (RFC 9110 section 10.2.3).
    def parse_retry_after(value)
      return value.to_i if value.to_s.match?(/\A\d+\z/)

      [Time.httpdate(value.to_s) - Time.now, 0].max
    rescue ArgumentError
      0
    end

    def parse_object(content)
      value = JSON.parse(content.to_s)
      value.is_a?(Hash) ? value : {}
    rescue StandardError
      {}
    end
  end

  # Events as JSON, and the key by which the server recognizes a repeated request.
  class Batch
    attr_reader :lines, :key

    def self.split(lines)
      count = size = 0
      batches = lines.slice_before do |line|
        count += 1
        size += line.bytesize
        is_full = count > BATCH_EVENTS || size > BATCH_BYTES
        count, size = 1, line.bytesize if is_full
        is_full
      end
      batches.map { |batch| new(batch) }
    end

    def initialize(lines)
      @lines = lines
      @key = SecureRandom.uuid
    end

    def body
      lines.one? ? lines.first : "[#{lines.join(",")}]"
    end

    def halves
      lines.each_slice((lines.size + 1) / 2).map { |half| Batch.new(half) }
    end
  end
  private_constant :Batch

  # A bounded queue of events, and the thread that sends them.
  class EventQueue
    def initialize(&send)
      @send = send
      reset
      at_exit { finish }
    end

    def dropped
      reset_after_fork
      @dropped
    end

    def put(line)
      reset_after_fork
      @mutex.synchronize { enqueue(line) }
      # A hook that runs after the one of this queue: nothing else would send the event.
      close if @has_ended
    end

    def flush
      reset_after_fork
      @sending.synchronize do
        deliver(@batches.first) while @batches.any? || form_batches
      end
    end

    def close
      flush
    rescue Exception => error
      @sending.synchronize do
        form_batches
        drop(@batches.first, error) while @batches.any?
      end
      raise unless error.is_a?(StandardError)
    end

    private

    def reset
      @pid = Process.pid
      @dropped = @size = 0
      @lines = []
      @batches = []
      @has_ended = false
      @mutex = Mutex.new
      @arrived = ConditionVariable.new
      @sending = Mutex.new
      @thread = nil
    end

    # The queued events stay with the parent process, which has the thread.
    def reset_after_fork
      reset if @pid != Process.pid
    end

    def finish
      reset_after_fork
      @has_ended = true
      close
    end

    def enqueue(line)
      return @dropped += 1 if @size + line.bytesize > MAX_QUEUE_BYTES

      @size += line.bytesize
      @lines << line
      @thread = Thread.new { run } unless @thread&.alive?
      @arrived.signal
    end

    def run
      loop do
        @mutex.synchronize { @arrived.wait(@mutex) while @size.zero? }
        sleep(BATCH_DELAY_SECONDS)
        flush
      rescue StandardError => error
        # Whatever went wrong, without this thread nothing would be sent any more.
        warn "bytelog: events remain queued: #{error.message}"
        sleep(RETRY_SECONDS)
      end
    end

    def form_batches
      lines = @mutex.synchronize { @lines.tap { @lines = [] } }
      @batches.concat(Batch.split(lines).to_a)
      lines.any?
    end

    def deliver(batch)
      @send.call(batch)
      remove(batch)
    rescue Error => error
      raise unless [400, 413].include?(error.status)

      split_or_drop(batch, error)
    end

    # One invalid event fails its whole batch: halve the batch until that event is alone.
    def split_or_drop(batch, error)
      return drop(batch, error) if batch.lines.one?

      @batches[0, 1] = batch.halves
    end

    def drop(batch, error)
      @dropped += batch.lines.size
      remove(batch)
      warn "bytelog: #{batch.lines.size} events dropped: #{error.message}"
    end

    def remove(batch)
      @batches.shift
      @mutex.synchronize { @size -= batch.lines.sum(&:bytesize) }
    end
  end
  private_constant :EventQueue
end
