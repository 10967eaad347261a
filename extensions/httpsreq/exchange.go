package httpsreq

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// parse reads the text of one request to the host, which has a port.
func parse(text []byte, host string) (*http.Request, error) {
	lines := bufio.NewReader(bytes.NewReader(text))
	request, err := http.ReadRequest(lines)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: its body: %w", ErrRequest, err)
	}
	if rest, _ := io.Copy(io.Discard, lines); rest > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow it: is its Content-Length missing?", ErrRequest, rest)
	}
	// A server that many names lead to must not be asked for one that is not allowed.
	name := strings.ToLower(request.Host)
	if name != "" && withPort(name) != host && name != host[:strings.LastIndexByte(host, ':')] {
		return nil, fmt.Errorf("%w: the request to %q is for %.300q", ErrHost, host, request.Host)
	}
	if request.Method == http.MethodConnect {
		return nil, fmt.Errorf("%w: CONNECT is for proxies", ErrRequest)
	}
	if request.URL.Opaque != "" {
		return nil, fmt.Errorf("%w: its target %.300q is no path", ErrRequest, request.RequestURI)
	}
	sent, err := http.NewRequest(request.Method, "https://"+host, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	sent.URL.Path, sent.URL.RawPath, sent.URL.RawQuery = request.URL.Path, request.URL.RawPath, request.URL.RawQuery
	sent.Header = request.Header
	if sent.Host = request.Host; sent.Host == "" {
		sent.Host = strings.TrimSuffix(host, fmt.Sprint(":", defaultPort))
	}
	if _, ok := sent.Header["User-Agent"]; !ok {
		sent.Header["User-Agent"] = nil // not Go's
	}
	return sent, nil
}

// exchange sends a request, and gives the response as HTTP/1.1 has it.
func (m *Module) exchange(request *http.Request) ([]byte, error) {
	response, err := m.config.Transport.RoundTrip(request)
	if err != nil {
		return nil, failure(request, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("%w: it changes the protocol", ErrRequest)
	}
	if response.ProtoMajor != 1 {
		response.ProtoMajor, response.ProtoMinor = 1, 1
	}
	text := bounded{limit: m.config.MaxResponse}
	err = response.Write(&text)
	if err != nil || request.Context().Err() != nil { // a server that is told of the end may end its response as if it were whole
		return nil, failure(request, err)
	}
	return text.kept, nil
}

// failure says what went wrong, and that the context has ended if that is why.
func failure(request *http.Request, err error) error {
	if cause := context.Cause(request.Context()); cause != nil {
		err = cause
	}
	return fmt.Errorf("httpsreq: %s %s: %w", request.Method, request.URL.Host, err)
}

// bounded keeps what is written, up to a limit.
type bounded struct {
	kept  []byte
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.limit-len(b.kept) {
		return 0, fmt.Errorf("%w: a response of more than %d bytes", ErrTooLarge, b.limit)
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}
