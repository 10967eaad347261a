package wasmer_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestFunctionsForSocketsRefuseOthers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		guest, _ := pair(t, "pipe")
		p := probeOf(t, engine, wasmer.WASIConfig{
			Mounts:    []wasmer.Mount{{Guest: "/", FS: wasmer.NewMemFS()}},
			Listeners: []net.Listener{listener}, Conns: []net.Conn{guest},
		})
		for fd, want := range map[int][4]int{ // accept, recv, send, shutdown
			0: {errnoNotsock, errnoNotsock, errnoNotsock, errnoNotsock},
			1: {errnoNotsock, errnoNotsock, errnoNotsock, errnoNotsock},
			3: {errnoNotsock, errnoNotsock, errnoNotsock, errnoNotsock},
			4: {-1, errnoNotconn, errnoNotconn, errnoNotconn},
			5: {errnoInval, -1, -1, -1},
			6: {errnoBadf, errnoBadf, errnoBadf, errnoBadf},
		} {
			p.vectors(1)
			for i, call := range []func() int{
				func() int { return p.errno("sock_accept", fd, 0, resultAddress) },
				func() int { return p.errno("sock_recv", fd, 0, 1, 0, resultAddress, resultAddress+4) },
				func() int { return p.errno("sock_send", fd, 0, 1, 0, resultAddress) },
				func() int { return p.errno("sock_shutdown", fd, shutWrite) },
			} {
				if want[i] >= 0 {
					require.Equal(t, want[i], call(), "fd %d, function %d", fd, i)
				}
			}
		}
		_, errno := p.read(4, 1)
		require.Equal(t, errnoNotconn, errno, "a listener has no data")
		_, errno = p.write(4, "x")
		require.Equal(t, errnoNotconn, errno)
		for _, fd := range []int{4, 5} {
			require.Equal(t, errnoSpipe, p.errno("fd_seek", fd, 0, 0, resultAddress))
			require.Equal(t, errnoBadf, p.errno("fd_prestat_get", fd, 0))
		}
	})
}

func TestWaitingForSocketsIsEnded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		eachListener(t, func(t *testing.T, listener net.Listener, dial func() net.Conn) {
			wasi := newWASI(t, wasmer.WASIConfig{Listeners: []net.Listener{listener}})
			module := compile(t, engine, probeText("wasi_snapshot_preview1"))
			requireEndsWaiting(t, newProbe(t, module, wasi), "sock_accept", listenerFD, 0, resultAddress)
			p := newProbe(t, module, wasi)
			p.subscribe(readSubscription(1, listenerFD))
			requireEndsWaiting(t, p, "poll_oneoff", 0, probeData, 1, resultAddress)

			host := dial() // who had waited for it is gone
			p = newProbe(t, module, wasi)
			conn, errno := p.accept(listenerFD, 0)
			require.Zero(t, errno)
			p.vectors(10)
			requireEndsWaiting(t, p, "sock_recv", conn, 0, 1, 0, resultAddress, resultAddress+4)
			_, err := host.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF, "the guest's connections end with it")
		})
	})
}

func TestSendThatWaitsIsEnded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		guest, _ := pair(t, "pipe")
		p := probeOf(t, engine, wasmer.WASIConfig{Conns: []net.Conn{guest}})
		p.data([]string{"nobody reads"})
		requireEndsWaiting(t, p, "sock_send", connectionFD, 0, 1, 0, resultAddress)
	})
}

// Each connection goes to one of the guests that share a listener.
func TestGuestsShareAListener(t *testing.T) {
	const guests, connections = 2, 20
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		eachListener(t, func(t *testing.T, listener net.Listener, dial func() net.Conn) {
			wasi := newWASI(t, wasmer.WASIConfig{Listeners: []net.Listener{listener}})
			module := compile(t, engine, probeText("wasi_snapshot_preview1"))
			var group sync.WaitGroup
			answered := make(chan int, connections)
			for n := range guests {
				p := newProbe(t, module, wasi)
				group.Go(func() {
					for {
						conn, errno := p.accept(listenerFD, 0)
						if errno != errnoSuccess {
							return // the listener was closed
						}
						data, _ := p.recv(conn, 0, 10)
						_, _ = p.send(conn, strings.ToUpper(data))
						_ = p.errno("fd_close", conn)
						answered <- n
					}
				})
			}
			for n := range connections {
				host := dial()
				_, err := fmt.Fprintf(host, "request%d", n)
				require.NoError(t, err)
				got, err := io.ReadAll(host)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint("REQUEST", n), string(got))
			}
			require.NoError(t, listener.Close())
			group.Wait()
			require.Len(t, answered, connections)
		})
	})
}

// A guest that does not close its connections leaves none open.
func TestConnectionsEndWithTheirGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		eachListener(t, func(t *testing.T, listener net.Listener, dial func() net.Conn) {
			store := newStore(t, engine)
			imports := wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{Listeners: []net.Listener{listener}}))
			other, err := store.Instantiate(background, "", module, imports)
			require.NoError(t, err)
			for _, end := range []func(*wasmer.Instance) error{
				(*wasmer.Instance).Close, func(i *wasmer.Instance) error { return i.CloseWithExitCode(3) },
			} {
				instance, err := store.Instantiate(background, "", module, imports)
				require.NoError(t, err)
				p := &probe{instance, t, background}
				host := dial()
				_, errno := p.accept(listenerFD, 0)
				require.Zero(t, errno)
				require.NoError(t, end(instance))
				_, err = host.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
			}
			require.Zero(t, (&probe{other, t, background}).errno("sched_yield"), "others of the store go on")
		})
	})
}
