// Package httpsreq gives guests the module wasmedge_httpsreq: requests by HTTPS to hosts that were allowed.
//
// A guest hands over a request as text, which HTTP/1.1 has it sent as, and gets the response as text. It waits for that as long
// as the context of its call lets it. See https://www.rfc-editor.org/rfc/rfc9112
package httpsreq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config says where guests may send requests.
type Config struct {
	// Hosts are names or addresses, with a port unless it is 443: "example.com", "example.com:8443", "[::1]:8443". No
	// others can be reached, and none by an entry that is empty or no host. Redirects are not followed but shown to the guest,
	// whose next request has to be allowed too.
	Hosts []string
	// Transport sends the requests; nil is one without a proxy that trusts the system's certificates, and has each request
	// use a connection of its own. One of your own must not follow redirects, and must verify who it speaks to.
	Transport http.RoundTripper
	// MaxRequest and MaxResponse bound a request and a response in bytes; 0 is 1 MiB for requests and 16 MiB for responses.
	MaxRequest, MaxResponse int
}

// Errors that end a guest, to be tested for with errors.Is. Those of the network do too: the module has no codes for them.
var (
	// ErrHost: the host is not one of Config.Hosts, or the request is for another one than that it was to be sent to.
	ErrHost = errors.New("httpsreq: host not allowed")
	// ErrRequest: what a guest wants to send is not one whole HTTP request.
	ErrRequest = errors.New("httpsreq: not a request")
	// ErrTooLarge: a request or response is larger than Config allows.
	ErrTooLarge = errors.New("httpsreq: too large")
)

// Module is the host module wasmedge_httpsreq. Each instance that imports it sees its own last response. Goroutines may share it.
type Module struct {
	config Config
	hosts  map[string]bool
	// responses are the last ones.
	responses perinstance.State[[]byte]
}

const defaultPort = 443

// New makes the module. Without Hosts guests can reach nothing.
func New(config Config) *Module {
	if config.MaxRequest <= 0 {
		config.MaxRequest = 1 << 20
	}
	if config.MaxResponse <= 0 {
		config.MaxResponse = 16 << 20
	}
	if config.Transport == nil {
		config.Transport = &http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: int64(config.MaxResponse),
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		}
	}
	m := &Module{config: config, hosts: map[string]bool{}}
	m.responses.New = func() *[]byte { return new([]byte) }
	for _, host := range config.Hosts {
		name := withPort(host)
		if to, err := url.Parse("https://" + name); err == nil && to.Host == name && to.Hostname() != "" {
			m.hosts[name] = true
		}
	}
	return m
}

// withPort is the name as it is looked up: in small letters, with a port.
func withPort(host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil { // it has none
		name, port = host, strconv.Itoa(defaultPort)
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") && strings.Contains(host, ":") {
			name = host[1 : len(host)-1]
		}
	}
	return strings.ToLower(net.JoinHostPort(name, port))
}

// AddTo implements wasmer.HostModule.
func (m *Module) AddTo(imports *wasmer.Imports) {
	imports.Namespace("wasmedge_httpsreq").
		Function("wasmedge_httpsreq_send_data", m.send).
		Function("wasmedge_httpsreq_get_rcv_len", func(c *wasmer.Caller) uint32 {
			return uint32(len(*m.responses.Of(c.Instance())))
		}).
		Function("wasmedge_httpsreq_get_rcv", func(c *wasmer.Caller, ptr uint32) error {
			return c.Memory().Write(uint64(ptr), *m.responses.Of(c.Instance()))
		})
}

// send sends a request and waits for the response, as long as the call's context lets it and the instance is not closed.
func (m *Module) send(c *wasmer.Caller, hostPtr, hostLength, port, ptr, length uint32) error {
	response := m.responses.Of(c.Instance())
	*response = nil
	if uint64(hostLength)+uint64(length) > uint64(m.config.MaxRequest) {
		return fmt.Errorf("%w: a request of %d bytes, more than %d", ErrTooLarge, length, m.config.MaxRequest)
	}
	name, err := c.Memory().ReadString(uint64(hostPtr), uint64(hostLength))
	if err != nil {
		return err
	}
	text, err := c.Memory().Read(uint64(ptr), uint64(length))
	if err != nil {
		return err
	}
	host := strings.ToLower(net.JoinHostPort(name, strconv.FormatUint(uint64(port), 10)))
	if !m.hosts[host] {
		return fmt.Errorf("%w: %.300q", ErrHost, host)
	}
	request, err := parse(text, host)
	if err != nil {
		return err
	}
	ctx, stop := perinstance.Context(c)
	defer stop(nil)
	*response, err = m.exchange(request.WithContext(ctx))
	return err
}
