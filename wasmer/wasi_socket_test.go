package wasmer_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const (
	recvPeek, recvWaitAll        = 1, 2
	shutRead, shutWrite          = 1, 2
	typeSocketStream             = 6
	rightFdRead, rightSockAccept = 1 << 1, 1 << 29
	listenerFD, connectionFD     = 3, 3
)

// eachListener runs a test with a listener of every kind, and what connects to it.
func eachListener(t *testing.T, test func(t *testing.T, listener net.Listener, dial func() net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			listener, err := net.Listen(network, address)
			require.NoError(t, err)
			defer listener.Close()
			test(t, listener, func() net.Conn {
				conn, err := net.Dial(network, listener.Addr().String())
				require.NoError(t, err)
				t.Cleanup(func() { _ = conn.Close() })
				require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
				return conn
			})
		})
	}
}

// pair is a connection, both ends of it.
func pair(t *testing.T, network string) (guest, host net.Conn) {
	t.Helper()
	if network == "pipe" {
		guest, host = net.Pipe()
	} else {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		listener, err := net.Listen(network, address)
		require.NoError(t, err)
		defer listener.Close()
		host, err = net.Dial(network, listener.Addr().String())
		require.NoError(t, err)
		guest, err = listener.Accept()
		require.NoError(t, err)
	}
	t.Cleanup(func() { _ = guest.Close(); _ = host.Close() })
	require.NoError(t, host.SetDeadline(time.Now().Add(10*time.Second)))
	return guest, host
}

func eachConnection(t *testing.T, test func(t *testing.T, network string, p *probe, host net.Conn)) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for _, network := range []string{"tcp", "unix", "pipe"} {
			t.Run(network, func(t *testing.T) {
				guest, host := pair(t, network)
				test(t, network, newProbe(t, module, newWASI(t, wasmer.WASIConfig{Conns: []net.Conn{guest}})), host)
			})
		}
	})
}

// accept is sock_accept.
func (p *probe) accept(fd, flags int) (conn, errno int) {
	p.t.Helper()
	errno = p.errno("sock_accept", fd, flags, resultAddress)
	return int(p.u32(resultAddress)), errno
}

// recv is sock_recv into buffers of these sizes.
func (p *probe) recv(fd, flags int, sizes ...int) (data string, errno int) {
	p.t.Helper()
	p.vectors(sizes...)
	p.put(resultAddress+4, []byte{0xff, 0xff})
	errno = p.errno("sock_recv", fd, 0, len(sizes), flags, resultAddress, resultAddress+4)
	if errno != errnoSuccess {
		return "", errno
	}
	require.Equal(p.t, []byte{0, 0}, p.get(resultAddress+4, 2), "nothing was cut off")
	return string(p.get(probeData, int(p.u32(resultAddress)))), errno
}

// send is sock_send.
func (p *probe) send(fd int, parts ...string) (n, errno int) {
	p.t.Helper()
	p.data(parts)
	errno = p.errno("sock_send", fd, 0, len(parts), 0, resultAddress)
	return int(p.u32(resultAddress)), errno
}

// fdstat reads the type, the flags and the rights of a descriptor.
func (p *probe) fdstat(fd int) (kind int, flags uint32, rights uint64) {
	p.t.Helper()
	require.Zero(p.t, p.errno("fd_fdstat_get", fd, resultAddress))
	return int(p.get(resultAddress, 1)[0]), p.u32(resultAddress) >> 16, p.u64(resultAddress + 8)
}

func TestGuestAccepts(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		eachListener(t, func(t *testing.T, listener net.Listener, dial func() net.Conn) {
			p := probeOf(t, engine, wasmer.WASIConfig{Listeners: []net.Listener{listener}})
			kind, _, rights := p.fdstat(listenerFD)
			require.Equal(t, typeSocketStream, kind)
			require.NotZero(t, rights&rightSockAccept)
			for n := range 3 {
				host := dial()
				conn, errno := p.accept(listenerFD, 0)
				require.Zero(t, errno)
				require.Equal(t, listenerFD+1, conn)
				kind, flags, rights := p.fdstat(conn)
				require.Equal(t, typeSocketStream, kind)
				require.Zero(t, flags)
				require.NotZero(t, rights&rightFdRead)
				request, response := fmt.Sprint("request ", n), fmt.Sprint("response ", n)
				_, err := io.WriteString(host, request)
				require.NoError(t, err)
				data, errno := p.recv(conn, recvWaitAll, len(request))
				require.Zero(t, errno)
				require.Equal(t, request, data)
				sent, errno := p.send(conn, response[:3], "", response[3:])
				require.Zero(t, errno)
				require.Equal(t, len(response), sent)
				require.Zero(t, p.errno("fd_close", conn))
				got, err := io.ReadAll(host)
				require.NoError(t, err)
				require.Equal(t, response, string(got))
			}
			require.Equal(t, errnoInval, p.errno("sock_accept", listenerFD, 8, resultAddress))
			require.Equal(t, errnoFault, p.errno("sock_accept", listenerFD, 0, pastMemory-3))
			require.Zero(t, p.errno("fd_close", listenerFD))
			require.Equal(t, errnoBadf, p.errno("sock_accept", listenerFD, 0, resultAddress))
			dial() // the listener is still open
		})
	})
}

func TestGuestAcceptsWithoutWaiting(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		eachListener(t, func(t *testing.T, listener net.Listener, dial func() net.Conn) {
			p := probeOf(t, engine, wasmer.WASIConfig{Listeners: []net.Listener{listener}})
			require.Zero(t, p.errno("fd_fdstat_set_flags", listenerFD, flagNonblock))
			for range 2 {
				_, errno := p.accept(listenerFD, 0)
				require.Equal(t, errnoAgain, errno)
			}
			soonRinging := clockSubscription(8, clockMonotonic, waitsFor, 0)
			require.Equal(t, []event{{userdata: 8}}, p.poll(readSubscription(3, listenerFD), soonRinging))
			dialled := make(chan net.Conn, 1)
			time.AfterFunc(waitsFor, func() { dialled <- dial() })
			events := p.poll(readSubscription(3, listenerFD))
			require.Len(t, events, 1)
			require.Zero(t, events[0].errno)
			require.EqualValues(t, 3, events[0].userdata)
			conn, errno := p.accept(listenerFD, flagNonblock)
			require.Zero(t, errno)
			_, flags, _ := p.fdstat(conn)
			require.EqualValues(t, flagNonblock, flags, "as asked for")
			_, errno = p.recv(conn, 0, 10)
			require.Equal(t, errnoAgain, errno)
			_, errno = p.recv(conn, recvPeek|recvWaitAll, 10)
			require.Equal(t, errnoAgain, errno)
			_, errno = p.read(conn, 10)
			require.Equal(t, errnoAgain, errno)
			_, err := io.WriteString(<-dialled, "typed")
			require.NoError(t, err)
			require.Equal(t, []event{{5, 0, eventRead, 5, 0}}, p.poll(readSubscription(5, uint32(conn))))
			data, errno := p.recv(conn, 0, 10)
			require.Zero(t, errno)
			require.Equal(t, "typed", data)
			_, errno = p.accept(listenerFD, 0)
			require.Equal(t, errnoAgain, errno)
		})
	})
}

func TestConnectionIsReadAndWritten(t *testing.T) {
	eachConnection(t, func(t *testing.T, _ string, p *probe, host net.Conn) {
		kind, _, _ := p.fdstat(connectionFD)
		require.Equal(t, typeSocketStream, kind)
		require.Equal(t, errnoBadf, p.errno("fd_prestat_get", connectionFD, 0))
		go func() { _, _ = io.WriteString(host, "peeked and read") }()
		for range 2 {
			data, errno := p.recv(connectionFD, recvPeek, 6)
			require.Zero(t, errno)
			require.Equal(t, "peeked", data)
		}
		data, errno := p.recv(connectionFD, recvWaitAll, 7)
		require.Zero(t, errno)
		require.Equal(t, "peeked ", data)
		data, errno = p.read(connectionFD, 4)
		require.Zero(t, errno)
		require.Equal(t, "and ", data)
		data, errno = p.recv(connectionFD, recvWaitAll, 1, 0, 3)
		require.Zero(t, errno)
		require.Equal(t, "read", data, "into several buffers")

		go func() {
			for _, c := range []byte("slowly") {
				_, _ = host.Write([]byte{c})
				time.Sleep(time.Millisecond)
			}
		}()
		data, errno = p.recv(connectionFD, recvWaitAll, 2, 4)
		require.Zero(t, errno)
		require.Equal(t, "slowly", data)

		received := make(chan string)
		go func() {
			var got [8]byte
			_, _ = io.ReadFull(host, got[:])
			received <- string(got[:])
		}()
		n, errno := p.send(connectionFD, "sent")
		require.Zero(t, errno)
		require.Equal(t, 4, n)
		n, errno = p.write(connectionFD, "more")
		require.Zero(t, errno)
		require.Equal(t, 4, n)
		require.Equal(t, "sentmore", <-received)

		require.Equal(t, errnoInval, p.errno("sock_recv", connectionFD, 0, 1, 4, resultAddress, resultAddress+4))
		require.Equal(t, errnoInval, p.errno("sock_send", connectionFD, 0, 1, 1, resultAddress))
		require.Equal(t, errnoFault, p.errno("sock_recv", connectionFD, 0, 1, 0, pastMemory-3, resultAddress))
		require.Equal(t, errnoFault, p.errno("sock_recv", connectionFD, 0, 1, 0, resultAddress, pastMemory-1))
		require.Equal(t, errnoFault, p.errno("sock_recv", connectionFD, pastMemory-7, 1, 0, resultAddress, 0))
		require.NoError(t, host.Close())
		data, errno = p.recv(connectionFD, recvWaitAll, 10)
		require.Zero(t, errno)
		require.Empty(t, data, "the end")
	})
}

// A guest that looks at the first byte to find out which protocol it is must be able to look at more of it then.
func TestPeekSeesMoreThanAnEarlierOne(t *testing.T) {
	eachConnection(t, func(t *testing.T, network string, p *probe, host net.Conn) {
		if network == "pipe" {
			return // it has no buffer: a writer is held up until all is read
		}
		_, err := io.WriteString(host, "GET /")
		require.NoError(t, err)
		data, errno := p.recv(connectionFD, recvPeek, 1)
		require.Zero(t, errno)
		require.Equal(t, "G", data)
		data, errno = p.recv(connectionFD, recvPeek, 100)
		require.Zero(t, errno)
		require.Equal(t, "GET /", data)
		_, err = io.WriteString(host, " HTTP")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			data, errno = p.recv(connectionFD, recvPeek, 100)
			return errno == errnoSuccess && data == "GET / HTTP"
		}, time.Second, time.Millisecond, "what came since")
		data, errno = p.recv(connectionFD, recvWaitAll, 10)
		require.Zero(t, errno)
		require.Equal(t, "GET / HTTP", data)
	})
}

func TestLargeTransfersOverAConnection(t *testing.T) {
	want := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	eachConnection(t, func(t *testing.T, _ string, p *probe, host net.Conn) {
		go func() { _, _ = io.WriteString(host, want) }()
		data, errno := p.recv(connectionFD, recvWaitAll, len(want)/2, len(want)/2)
		require.Zero(t, errno)
		require.True(t, want == data)
		received := make(chan bool)
		go func() {
			got := make([]byte, len(want))
			_, err := io.ReadFull(host, got)
			received <- err == nil && bytes.Equal(got, []byte(want))
		}()
		for rest := want; rest != ""; {
			n, errno := p.send(connectionFD, rest)
			require.Zero(t, errno)
			rest = rest[n:]
		}
		require.True(t, <-received)
	})
}

func TestShutdown(t *testing.T) {
	eachConnection(t, func(t *testing.T, network string, p *probe, host net.Conn) {
		for _, how := range []int{0, 4, -1} {
			require.Equal(t, errnoInval, p.errno("sock_shutdown", connectionFD, how))
		}
		if network == "pipe" {
			require.Equal(t, errnoNotsup, p.errno("sock_shutdown", connectionFD, shutWrite), "it has no halves")
			return
		}
		n, errno := p.send(connectionFD, "last")
		require.Zero(t, errno)
		require.Equal(t, 4, n)
		require.Zero(t, p.errno("sock_shutdown", connectionFD, shutWrite))
		got, err := io.ReadAll(host)
		require.NoError(t, err)
		require.Equal(t, "last", string(got))
		_, errno = p.send(connectionFD, "more")
		require.Equal(t, errnoPipe, errno)
		_, err = io.WriteString(host, "other way")
		require.NoError(t, err)
		data, errno := p.recv(connectionFD, 0, 20)
		require.Zero(t, errno)
		require.Equal(t, "other way", data)
		require.Zero(t, p.errno("sock_shutdown", connectionFD, shutRead))
		data, errno = p.recv(connectionFD, 0, 20)
		require.Zero(t, errno)
		require.Empty(t, data)
	})
}
