package wasip1

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Whatever a guest calls its functions with, the host stands: no panic, an error number for everything, and when the guest is
// gone so are the files and goroutines that it had.
func TestRandomCalls(t *testing.T) {
	const each = 5_000
	for seed := range uint64(max(1, tries(1_000_000)/each)) {
		atRest := hostFiles(t)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newMonkey(t, rand.New(rand.NewPCG(seed, 11)))
			for range each {
				m.step()
			}
		})
		require.Equal(t, atRest, hostFiles(t))
	}
}

// FuzzCalls is TestRandomCalls with choices of the fuzzer.
func FuzzCalls(f *testing.F) {
	for seed := range byte(8) {
		f.Add([]byte(strings.Repeat(string([]byte{seed, 3, 0x40, 9, seed, 1}), 40)))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		source := &choiceSource{choices: choices, rest: rand.NewPCG(1, 2)}
		m := newMonkey(t, rand.New(source))
		for range 200 {
			if source.spent() {
				break
			}
			m.step()
		}
	})
}

// choiceSource makes numbers of given bytes, and of others after them.
type choiceSource struct {
	choices []byte
	rest    rand.Source
}

func (s *choiceSource) spent() bool { return len(s.choices) == 0 }

func (s *choiceSource) Uint64() uint64 {
	if s.spent() {
		return s.rest.Uint64()
	}
	var number [8]byte
	s.choices = s.choices[copy(number[:], s.choices):]
	return binary.LittleEndian.Uint64(number[:])
}

// hostFiles are the descriptors that this process has of the host.
func hostFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(files)
}

// monkey is a guest that has one of everything, and calls anything with anything.
type monkey struct {
	*guest
	t      *testing.T
	random *rand.Rand
	names  []string
	// canary lies on both sides of the memory.
	canary []byte
}

const canarySize = 1 << 10

func newMonkey(t *testing.T, random *rand.Rand) *monkey {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	t.Cleanup(func() { // after what closes the guest and its sockets
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+1 }, 10*time.Second, time.Millisecond)
	})
	folder := t.TempDir()
	makeTree(t, folder, "dir/sub/", "empty/", "file", "dir/inner")
	require.NoError(t, os.Symlink("dir", filepath.Join(folder, "link")))
	require.NoError(t, unix.Mkfifo(filepath.Join(folder, "pipe"), 0o600))
	memory := NewMemFS()
	memory.MaxBytes, memory.MaxNodes = 4<<20, 1000
	require.NoError(t, memory.MkdirAll("dir/sub"))
	require.NoError(t, memory.WriteFile("file", []byte("data")))
	g := newGuestOf(t, t.Context(), Config{
		Args: []string{"monkey", "", "see"}, Env: []string{"monkey=do"},
		Stdin: silent(t), Stdout: io.Discard, Stderr: &strings.Builder{},
		Preopens: []Preopen{
			{"/", openHost(t, folder)}, {"/ro", ReadOnly(openHost(t, folder))}, {"/mem", memory.Root()},
			{"/fs", NewFS(fstest.MapFS{"file": {Data: []byte("data")}, "dir/inner": {}})}, {"", ReadOnly(memory.Root())},
		},
		Listeners: []net.Listener{listening(t)}, Conns: []net.Conn{connected(t)},
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	whole := make([]byte, guestSize+2*canarySize)
	g.Memory = whole[canarySize : canarySize+guestSize : canarySize+guestSize]
	m := &monkey{guest: g, t: t, random: random, canary: whole}
	m.names = []string{"file", "dir", "dir/sub", "dir/inner", "link", "link/inner", "pipe", "empty", "new", ".", "..", "a/b", "/", "dir/..", "new/"}
	m.scribble()
	return m
}

func (m *monkey) pick(n uint32) uint32 { return m.random.Uint32N(n) }

// scribble fills the memory with what may be paths, vectors and subscriptions.
func (m *monkey) scribble() {
	filler := monkey{random: rand.New(rand.NewPCG(m.random.Uint64(), 13))}
	for at := uint32(0); at < guestSize; at += 4 {
		value := filler.pointer()
		if filler.pick(2) == 0 {
			value = filler.pick(80)
		}
		binary.LittleEndian.PutUint32(m.Memory[at:], value)
	}
}

func (m *monkey) pointer() uint32 {
	switch m.pick(8) {
	case 0:
		return []uint32{0, 1, guestSize, guestSize - 1, guestSize - 4, guestSize - 8, math.MaxInt32, 1 << 31, math.MaxUint32, math.MaxUint32 - 7}[m.pick(10)]
	default:
		return m.pick(guestSize)
	}
}

func (m *monkey) length() uint32 {
	switch m.pick(16) {
	case 0:
		return []uint32{guestSize, guestSize + 1, 1 << 16, 1 << 29, 1 << 30, math.MaxInt32, 1 << 31, math.MaxUint32}[m.pick(8)]
	case 1:
		return m.pick(guestSize)
	default:
		return m.pick(70)
	}
}

func (m *monkey) offset() uint64 {
	switch m.pick(4) {
	case 0:
		return []uint64{1 << 31, 1 << 32, 1 << 40, 1 << 62, math.MaxInt64 - 1, math.MaxInt64, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}[m.pick(9)]
	default:
		return uint64(m.pick(10_000))
	}
}

// descriptor is one that is open, and for most calls one that suits the function.
func (m *monkey) descriptor(name string) uint32 {
	if m.pick(40) == 0 {
		return m.length()
	}
	fd := uint32(0)
	for range 1 + m.pick(100) {
		fd = m.pick(uint32(len(m.table.list)) + 1)
		if d := m.table.get(fd); d != nil && suits(d, name) {
			break
		}
	}
	return fd
}

func suits(d *descriptor, name string) bool {
	switch {
	case strings.HasPrefix(name, "path_"), name == "fd_readdir":
		return d.dir != nil
	case strings.HasPrefix(name, "sock_"):
		return d.socket || d.listener != nil
	}
	return d.file != nil || d.stream != nil
}

// firstOpened is the number of descriptors that a monkey starts with.
const firstOpened = 10

// spares leaves most of what the monkey has, so that there is something to call functions on.
func (m *monkey) spares(name string, a args) bool {
	switch name {
	case "fd_close":
		return m.pick(4) != 0 || a[0] < firstOpened && m.pick(20) != 0
	case "fd_renumber":
		return m.pick(4) != 0 || min(a[0], a[1]) < firstOpened && m.pick(20) != 0
	case "fd_fdstat_set_rights":
		return m.pick(4) != 0 || a[0] < firstOpened && m.pick(20) != 0
	}
	return false
}

// arguments makes up those of a function.
func (m *monkey) arguments(name string) (a args) {
	for _, kind := range functions[name].kinds {
		switch kind {
		case 'd':
			a = append(a, uint64(m.descriptor(name)))
		case 'p':
			a = append(a, uint64(m.pointer()))
		case 'n':
			a = append(a, uint64(m.length()))
		case 's':
			a = m.path(a)
		case 'v':
			a = m.list(a)
		case 'f':
			flags := []uint32{0, 0, 0, 1, 1, 2, 3, 4, 8, m.pick(64)}[m.pick(10)]
			if m.pick(20) == 0 {
				flags = m.random.Uint32()
			}
			a = append(a, uint64(flags))
		case 'r':
			rights := []Rights{allRights, allRights, toRead, toRead | toWrite, Rights(m.random.Uint64())}[m.pick(5)]
			a = append(a, uint64(rights))
		case 'o':
			a = append(a, m.offset())
		case 'z': // what is possible takes little
			a = append(a, []uint64{0, 1, 5000, 1 << 20, math.MaxInt64, 1 << 63, math.MaxUint64}[m.pick(7)])
		}
	}
	return a
}

// path puts a path into the memory, or takes what is there.
func (m *monkey) path(a args) args {
	if m.pick(10) == 0 {
		return append(a, uint64(m.pointer()), uint64(m.length()))
	}
	at, n := m.text(m.pick(guestSize-64), m.names[m.pick(uint32(len(m.names)))])
	return append(a, uint64(at), uint64(n))
}

// list puts a list of vectors into the memory, or takes what is there.
func (m *monkey) list(a args) args {
	at, count := m.pick(guestSize-64), m.pick(5)
	if m.pick(10) == 0 {
		return append(a, uint64(at), uint64(m.length()))
	}
	for i := range count {
		binary.LittleEndian.PutUint32(m.Memory[at+8*i:], m.pick(guestSize/2))
		binary.LittleEndian.PutUint32(m.Memory[at+8*i+4:], m.pick(guestSize/2)/(1+m.pick(1000)))
	}
	return append(a, uint64(at), uint64(count))
}

var functionNames = slices.Sorted(maps.Keys(functions))

// step makes a call. One that waits is ended soon.
func (m *monkey) step() {
	name := functionNames[m.pick(uint32(len(functionNames)))]
	a := m.arguments(name)
	if m.spares(name, a) {
		return
	}
	if m.pick(2000) == 0 {
		m.scribble()
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 200*time.Microsecond)
	defer cancel()
	call := m.Call
	call.Context, call.Snapshot0 = ctx, m.pick(4) == 0
	if m.pick(100) == 0 {
		call.Memory = m.Memory[:m.pick(100)]
	}
	var errno Errno
	require.NotPanics(m.t, func() { errno = functions[name].call(call, a) }, "%s%x", name, a)
	require.True(m.t, errno <= ENOTCAPABLE || errno.Stopped(), "%s%x: %d", name, a, errno)
	require.Zero(m.t, strings.Trim(string(m.canary[:canarySize])+string(m.canary[canarySize+guestSize:]), "\x00"), "%s%x", name, a)
}
