# frozen_string_literal: true

# bytelog's client for Ruby 3.1 and newer: this file alone, nothing to install.
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
  LONGEST_WAIT_SECONDS = 60 # who is told to wait longer is told so instead

  # A request failed: +status+ is the HTTP status, nil if there was no answer.
  class Error < StandardError
    attr_reader :status, :retry_after

    def initialize(message, status: nil, retry_after: 0)
      super(message)
      @status = status
      @retry_after = retry_after
    end

    # Whether the same request may succeed in a while.
    def temporary?
      [nil, 409, 429, 502, 503, 504].include?(status) && retry_after <= LONGEST_WAIT_SECONDS
    end
  end

  # Records events and reads them back; threads may share it.
  class Client
    # +url+ and +key+ come from the environment unless given. A server that is away, busy, or silent
    # for +timeout+ seconds is asked again, +retries+ times; an event is stored once all the same.
    def initialize(url: ENV.fetch("BYTELOG_URL"), key: ENV.fetch("BYTELOG_API_KEY"), timeout: 10, retries: 5)
      @uri = URI("#{url.chomp("/")}/api/v1/events")
      @headers = { "Authorization" => "Bearer #{key}", "Accept" => "application/json, application/problem+json" }
      @timeout = timeout
      @retries = retries
    end

    # Records an event; it is stored when this returns. Without +date+, a Time or text, it happens
    # now; a text without a zone is UTC.
    def record(id:, name:, trace_id:, data: {}, date: nil)
      record_many([{ id:, name:, trace_id:, data:, date: }.compact])
    end

    # Records events, hashes with the members that #record takes, in batches of up to 1000, each of
    # which is stored whole or not at all.
    def record_many(events)
      batches(events.lazy.map { |event| line(event) }).each { |lines| post(lines) }
    end

    # Yields the events from +start:+ on and before +end:+, page by page; without a block, returns an
    # Enumerator. Other arguments are the API's parameters: <tt>name: "click"</tt>,
    # <tt>order: "newest"</tt>, <tt>"data.client_id": "17039485"</tt>.
    def events(**window)
      return enum_for(:events, **window) unless block_given?

      uri = @uri.dup
      uri.query = URI.encode_www_form({ limit: PAGE_EVENTS, **window }.compact.transform_values { |it| text(it) })
      while uri
        answer = request(Net::HTTP::Get.new(uri, @headers))
        page = JSON.parse(answer.body)["events"]
        page.each { |event| yield event }
        # In order of arrival there always is a next page, for those who wait for news.
        following = answer["Link"]&.[](/<([^>]*)>; rel="next"/, 1)
        uri = following && page.any? ? URI.join(uri, following) : nil
      end
    end

    # Yields the events of a trace; without a block, returns an Enumerator.
    def trace(trace_id, &block)
      events(trace_id:, &block)
    end

    private

    def batches(lines)
      count = size = 0
      lines.slice_before do |line|
        count += 1
        size += line.bytesize
        is_full = count > BATCH_EVENTS || size > BATCH_BYTES
        count, size = 1, line.bytesize if is_full
        is_full
      end
    end

    def line(event)
      JSON.generate(event.transform_values { |it| text(it) })
    end

    def text(value)
      value.is_a?(Time) ? value.iso8601(3) : value
    end

    def post(lines)
      headers = { "Content-Type" => "application/json", "Idempotency-Key" => SecureRandom.uuid }
      post = Net::HTTP::Post.new(@uri, @headers.merge(headers))
      post.body = lines.one? ? lines.first : "[#{lines.join(",")}]"
      request(post)
    end

    def request(request)
      attempt = 0
      begin
        try(request)
      rescue Error => error
        raise if attempt >= @retries || !error.temporary?

        # With full jitter, so that many clients do not come back all at once.
        sleep(error.retry_after + rand * [0.5 * 2**attempt, 30].min)
        attempt += 1
        retry
      end
    end

    def try(request)
      answer = Net::HTTP.start(@uri.hostname, @uri.port, **connection) { |http| http.request(request) }
      return answer if %w[200 201].include?(answer.code)

      raise Error.new(message(answer), status: answer.code.to_i, retry_after: answer["Retry-After"].to_i)
    rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError,
           Net::ProtocolError, Net::HTTPBadResponse => error
      raise Error, "#{@uri.host} does not answer: #{error.message}"
    end

    def connection
      # An answer that breaks off is none, though Ruby takes it for one unless told otherwise.
      strict = { ignore_eof: false, max_retries: 0 }
      timeouts = { open_timeout: @timeout, read_timeout: @timeout, write_timeout: @timeout }
      { use_ssl: @uri.scheme == "https", **strict, **timeouts }
    end

    def message(answer)
      return "#{answer.code} #{answer.message}" unless answer.content_type == "application/problem+json"

      problem = JSON.parse(answer.body)
      details = problem["errors"]&.map { |it| it.values.join(" ") } || [problem["detail"]]
      "#{answer.code} #{problem["error"]}: #{details.join("; ")}"
    end
  end
end
