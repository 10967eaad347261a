package wasip1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// promptGuest has one end of a connection, which holds nothing by itself, as a socket that does not want to wait.
func promptGuest(t *testing.T) (g *guest, peer net.Conn) {
	t.Helper()
	mine, peer := net.Pipe()
	t.Cleanup(func() { _ = mine.Close(); _ = peer.Close() })
	g = newGuestOf(t, t.Context(), Config{Conns: []net.Conn{mine}})
	require.Equal(t, Success, g.FdFdstatSetFlags(firstMount, uint32(FlagNonblock)))
	return g, peer
}

// A peer that does not read does not hold a guest that does not want to wait.
func TestNonblockingWrites(t *testing.T) {
	g, peer := promptGuest(t)
	require.Equal(t, Success, g.write(firstMount, "one "))
	require.EqualValues(t, 4, g.result(), "it is on its way")
	require.Equal(t, EAGAIN, g.write(firstMount, "two "))
	require.NotNil(t, g.table.get(firstMount).stream.writable())

	data := make([]byte, 4)
	_, err := io.ReadFull(peer, data)
	require.NoError(t, err)
	require.Equal(t, "one ", string(data))
	require.True(t, g.wait(g.table.get(firstMount).stream.sending.Load().done))
	require.Nil(t, g.table.get(firstMount).stream.writable(), "poll_oneoff says so")

	go func() { _, _ = io.ReadFull(peer, data) }()
	require.Equal(t, Success, g.write(firstMount, "two "))
}

func TestNonblockingWritesTellLater(t *testing.T) {
	g, peer := promptGuest(t)
	require.Equal(t, Success, g.write(firstMount, "lost"))
	require.NoError(t, peer.Close())
	require.Eventually(t, func() bool { return g.write(firstMount, "more") == EPIPE }, 5*time.Second, time.Millisecond)
}

func TestPanicsOfNonblockingWritesComeLater(t *testing.T) {
	release := make(chan struct{})
	s := newStream(nil, Waiting{writerFunc(func(p []byte) (int, error) {
		<-release
		panic(errors.New("the writer's"))
	})})
	g := newGuest(t)
	list, count := g.vector(bufferAt, 1)
	require.Equal(t, Success, g.takeVectors(list, count))
	_, errno := s.write(&g.Call, true)
	require.Equal(t, Success, errno)
	close(release)
	<-s.sending.Load().done
	for range 2 { // the second one is a write of its own
		require.Equal(t, Success, g.takeVectors(list, count))
		require.Panics(t, func() { _, _ = s.write(&g.Call, false); _, _ = s.write(&g.Call, true) })
	}
}

// What a guest has sent arrives, though it has closed the socket since.
func TestCloseSendsWhatIsOnItsWay(t *testing.T) {
	mine, peer := net.Pipe()
	defer peer.Close()
	s := newStream(mine, mine)
	g := newGuest(t)
	list, count := g.vector(g.text(bufferAt, "all of it"))
	require.Equal(t, Success, g.takeVectors(list, count))
	_, errno := s.write(&g.Call, true)
	require.Equal(t, Success, errno)
	require.NoError(t, s.close())
	data, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "all of it", string(data))
}

// A guest that waits writes all at once, however much goes through a goroutine.
func TestLongWritesAreWhole(t *testing.T) {
	r, w := io.Pipe()
	s := newStream(nil, w)
	g := newGuest(t)
	g.Memory = make([]byte, 3*streamBuffer)
	for i := range g.Memory {
		g.Memory[i] = byte(i % 251)
	}
	list, count := g.vector(1000, 2*streamBuffer+500)
	want := bytes.Clone(g.Memory[1000:][:2*streamBuffer+500])
	got := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(r)
		got <- data
	}()
	require.Equal(t, Success, g.takeVectors(list, count))
	n, errno := s.write(&g.Call, false)
	require.Equal(t, Success, errno)
	require.Equal(t, len(want), n)
	require.NoError(t, w.Close())
	require.True(t, bytes.Equal(want, <-got))
}
