package httpsreq_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/httpsreq"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestRequestsAreSent(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Seen", fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Host, r.Header["User-Agent"]))
		w.Header()["Date"] = nil
		if strings.HasPrefix(r.URL.Path, "/parts") {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(append([]byte("got: "), body...))
	})
	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{s.address}, Transport: s.Client().Transport}))
	for name, test := range map[string]struct{ request, seen, body string }{
		"get":              {"GET /a?b=c HTTP/1.1\r\nHost: HOST\r\nConnection: Close\r\n\r\n", "GET /a?b=c HOST []", "got: "},
		"line feeds":       {"GET / HTTP/1.1\nHost: HOST\nUser-Agent: guest\n\n", "GET / HOST [guest]", "got: "},
		"post":             {"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\n\r\nbody", "POST / HOST []", "got: body"},
		"post in chunks":   {"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "POST / HOST []", "got: body"},
		"head":             {"HEAD / HTTP/1.1\r\nHost: HOST\r\n\r\n", "HEAD / HOST []", ""},
		"escapes":          {"GET /%2F/%41 HTTP/1.1\r\nHost: HOST\r\n\r\n", "GET /%2F/%41 HOST []", "got: "},
		"kept open":        {"GET / HTTP/1.1\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n", "GET / HOST []", "got: "},
		"no host":          {"GET / HTTP/1.0\r\n\r\n", "GET / HOST []", "got: "},
		"absolute":         {"GET https://HOST/a HTTP/1.1\r\nHost: ignored\r\n\r\n", "GET /a HOST []", "got: "},
		"answer in chunks": {"GET /parts HTTP/1.1\r\nHost: HOST\r\n\r\n", "GET /parts HOST []", "got: "},
	} {
		t.Run(name, func(t *testing.T) {
			g := &guest{g.Instance, t}
			require.NoError(t, g.send(s.address, strings.ReplaceAll(test.request, "HOST", s.address)))
			text := g.received()
			method, _, _ := strings.Cut(test.request, " ")
			response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), &http.Request{Method: method})
			require.NoError(t, err, text)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, strings.ReplaceAll(test.seen, "HOST", s.address), response.Header.Get("Seen"))
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, test.body, string(body))
		})
	}
}

func TestOnlyAllowedHostsAreReached(t *testing.T) {
	var reached atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+other.address+"/", http.StatusFound)
	})
	get := func(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }

	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{s.address}, Transport: s.Client().Transport}))
	require.NoError(t, g.send(s.address, get(s.address)))
	require.Contains(t, g.received(), "302 Found")
	require.Contains(t, g.received(), "Location: https://"+other.address)
	require.ErrorIs(t, g.send(other.address, get(other.address)), httpsreq.ErrHost, "the redirect is not followed by the guest either")
	require.Empty(t, g.received(), "nothing of before is left")

	for _, name := range []string{other.address, "example.com", "127.0.0.1:1", s.address + "0", "user@" + s.address} {
		require.ErrorIs(t, g.send(s.address, get(name)), httpsreq.ErrHost, name)
	}
	require.ErrorIs(t, g.send(s.address, "GET https://"+other.address+"/ HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"), httpsreq.ErrHost)
	for _, address := range []string{"127.0.0.1:443", "localhost:443", ":443", "127.0.0.1:99999"} {
		require.ErrorIs(t, g.send(address, get(address)), httpsreq.ErrHost, address)
	}
	require.Zero(t, reached.Load())

	none := newGuest(t, httpsreq.New(httpsreq.Config{Transport: s.Client().Transport}))
	require.ErrorIs(t, none.send(s.address, get(s.address)), httpsreq.ErrHost, "nothing is allowed by default")
}

func TestHostsAreComparedAsNames(t *testing.T) {
	sent := make(chan string, 1)
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent <- r.URL.Host
		return &http.Response{StatusCode: http.StatusNoContent, ProtoMajor: 2, Body: http.NoBody, Request: r}, nil
	})
	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{"Example.com", "[::1]:8443", "::2"}, Transport: transport}))
	for address, name := range map[string]string{
		"example.com:443": "EXAMPLE.com", "EXAMPLE.COM:443": "example.com:443", "[::1]:8443": "[::1]", "[::2]:443": "[::2]",
	} {
		require.NoError(t, g.send(address, "GET / HTTP/1.1\r\nHost: "+name+"\r\n\r\n"), address)
		require.Equal(t, strings.ToLower(address), <-sent)
		require.Equal(t, "HTTP/1.1 204 No Content\r\n", g.received()[:25], "whatever the transport speaks")
	}
	require.ErrorIs(t, g.send("[::1]:443", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), httpsreq.ErrHost)
}

// A list that was split from an empty setting has an empty entry: it must not stand for this machine.
func TestEntriesThatAreNoHostsAllowNothing(t *testing.T) {
	transport := roundTripper(func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("sent to %q", r.URL.Host) })
	entries := []string{"", ":443", ":8443", "example.com/", "user@example.com", "https://example.com", "example.com?", "a b"}
	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: entries, Transport: transport}))
	for _, address := range []string{
		":443", ":8443", "example.com/:443", "user@example.com:443", "example.com:443", "[https://example.com]:443", "example.com?:443", "a b:443",
	} {
		require.ErrorIs(t, g.send(address, "GET / HTTP/1.1\r\n\r\n"), httpsreq.ErrHost, address)
	}
}

func TestTheHostIsSentAsItIsAllowed(t *testing.T) {
	sent := make(chan string, 1)
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent <- r.Host
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
	})
	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{"example.com", "example.com:8443"}, Transport: transport}))
	for address, host := range map[string]string{"example.com:443": "example.com", "example.com:8443": "example.com:8443"} {
		require.NoError(t, g.send(address, "GET / HTTP/1.0\r\n\r\n"))
		require.Equal(t, host, <-sent, "the request names none")
	}
	for _, host := range []string{"[example.com", "example.com]", "[example.com]", "example.com.", "example.com:", "example.com:443:443"} {
		require.ErrorIs(t, g.send("example.com:443", "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n"), httpsreq.ErrHost, host)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func TestServersAreVerified(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Accept-Encoding"))
	})
	_, port, err := net.SplitHostPort(s.address)
	require.NoError(t, err)
	unnamed := net.JoinHostPort("localhost", port)
	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{s.address, unnamed}}))
	err = g.send(unnamed, "GET / HTTP/1.1\r\nHost: "+unnamed+"\r\n\r\n")
	require.ErrorAs(t, err, new(*tls.CertificateVerificationError), "the certificate has another name")
	if runtime.GOOS == "darwin" {
		t.Skip("there is no way to have it trust a certificate")
	}
	require.NoError(t, g.send(s.address, "GET / HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"))
	require.True(t, strings.HasSuffix(g.received(), "\r\n\r\n"), "nothing was added to the request: %s", g.received())
}

func TestOnlyWholeRequestsAreSent(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{s.address}, Transport: s.Client().Transport}))
	for name, request := range map[string]string{
		"nothing":             "",
		"no request":          "EHLO example.com\r\n",
		"half a header":       "GET / HTTP/1.1\r\nHost: ",
		"half a body":         "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 10\r\n\r\nbody",
		"unmeasured body":     "POST / HTTP/1.1\r\nHost: HOST\r\n\r\nbody",
		"two requests":        "GET / HTTP/1.1\r\nHost: HOST\r\n\r\nGET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"tunnel":              "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"a target of its own": "GET foo:bar HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"a broken method":     "G(T / HTTP/1.1\r\nHost: HOST\r\n\r\n",
	} {
		require.ErrorIs(t, g.send(s.address, strings.ReplaceAll(request, "HOST", s.address)), httpsreq.ErrRequest, name)
	}
}

func TestSizesAreBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for range 1000 { // more than any buffer on the way
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				return
			}
		}
	})
	config := httpsreq.Config{Hosts: []string{s.address}, Transport: s.Client().Transport, MaxRequest: 1000, MaxResponse: 1_000_000}
	g := newGuest(t, httpsreq.New(config))
	request := "GET / HTTP/1.1\r\nHost: " + s.address + "\r\nX: "
	err := g.send(s.address, request+"\r\n\r\n")
	require.ErrorIs(t, err, httpsreq.ErrTooLarge)
	require.ErrorContains(t, err, "a response of more than 1000000 bytes")
	require.Empty(t, g.received())
	err = g.send(s.address, request+strings.Repeat("x", 1000)+"\r\n\r\n")
	require.ErrorIs(t, err, httpsreq.ErrTooLarge)
	require.ErrorContains(t, err, "a request of")

	config.MaxResponse = 11_000_000
	g = newGuest(t, httpsreq.New(config))
	require.NoError(t, g.send(s.address, request+"\r\n\r\n"))
	require.Greater(t, len(g.received()), 10_000_000)
}

func TestRequestsEndWithTheirCall(t *testing.T) {
	for name, slow := range map[string]func(w http.ResponseWriter){
		"before the response": func(http.ResponseWriter) {},
		"within the response": func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
	} {
		for _, by := range []string{"context", "close"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				waiting := make(chan bool)
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					slow(w)
					waiting <- true
					<-r.Context().Done() // the client has gone
				})
				g := newGuest(t, httpsreq.New(httpsreq.Config{Hosts: []string{s.address}, Transport: s.Client().Transport}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				function, arguments := g.sending("127.0.0.1", s.Listener.Addr().(*net.TCPAddr).Port, "GET / HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n")
				call := function.CallAsync(ctx, arguments...)
				<-waiting
				want := context.Canceled
				if by == "context" {
					cancel()
				} else {
					want = wasmer.ErrClosed
					require.NoError(t, g.Close())
				}
				_, err := call.Result()
				require.ErrorIs(t, err, want)
			})
		}
	}
}

func TestGuestsSeeTheirOwnResponses(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	module := httpsreq.New(httpsreq.Config{Hosts: []string{s.address}, Transport: s.Client().Transport})
	one, other := newGuest(t, module), newGuest(t, module)
	require.NoError(t, one.send(s.address, "GET /one HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"))
	require.Empty(t, other.received())
	require.NoError(t, other.send(s.address, "GET /other HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"))
	require.True(t, strings.HasSuffix(one.received(), "/one"))
	require.True(t, strings.HasSuffix(other.received(), "/other"))
}

func TestHostileGuests(t *testing.T) {
	var answered atomic.Int64
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Host, "example.com:") {
			return nil, fmt.Errorf("sent to %q", r.URL.Host)
		}
		answered.Add(1)
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("answer")), Request: r}, nil
	})
	var hosts []string
	for port := range 1 << 10 { // a guest that guesses one of 65,536 would seldom get any further
		hosts = append(hosts, fmt.Sprint("example.com:", port))
	}
	hostile.Fuzz(t, hostile.Config{
		Program: program,
		Imports: wasmer.NewImports().Add(httpsreq.New(httpsreq.Config{Hosts: hosts, Transport: transport})),
		Data:    []string{"example.com", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		Refused: func(_ string, err error) error {
			for _, known := range []error{httpsreq.ErrHost, httpsreq.ErrRequest, httpsreq.ErrTooLarge, wasmer.ErrOutOfBounds, wasmer.ErrClosed} {
				if errors.Is(err, known) {
					return nil
				}
			}
			return err
		},
	})
	require.Positive(t, answered.Load(), "requests were sent")
}
