// Package wasip1 is WASI preview 1: the functions that a guest calls, on file systems, streams and clocks of the host.
// Each function is a method of Call that takes what the guest passes, checks it, and gives the error number.
//
// See https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md
package wasip1

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"time"
)

// Config is what the processes of a system get of their surroundings.
type Config struct {
	Args []string
	// Env holds KEY=VALUE.
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Preopens       []Preopen
	Listeners      []net.Listener
	Conns          []net.Conn
	// The rest is nil for the real thing.
	Now       func() time.Time
	Monotonic func() time.Duration
	Sleep     func(ctx context.Context, d time.Duration) error
	Yield     func()
	Random    io.Reader
	// Deterministic replaces what is nil of these by what is the same each time.
	Deterministic bool
}

// Preopen is a directory that is open from the start.
type Preopen struct {
	Guest string
	Dir   Dir
}

// System is what processes share.
type System struct {
	config                Config
	args, env             stringList
	stdin, stdout, stderr *stream
	listeners             []*listener
	conns                 []*stream
	// randomness is held while the configured source is read.
	randomness turn
}

// NewSystem makes a system of a configuration that was checked.
func NewSystem(config Config) *System {
	s := &System{
		config: config, args: newStringList(config.Args), env: newStringList(config.Env),
		stdin: newStream(config.Stdin, nil), stdout: newStream(nil, config.Stdout), stderr: newStream(nil, config.Stderr),
	}
	if sameWriter(config.Stdout, config.Stderr) {
		s.stderr = s.stdout // it is used by one at a time
	}
	for _, l := range config.Listeners {
		s.listeners = append(s.listeners, &listener{listener: l})
	}
	for _, c := range config.Conns {
		s.conns = append(s.conns, newStream(c, c))
	}
	return s
}

// sameWriter reports whether two writers are one, as far as they can be compared.
func sameWriter(a, b io.Writer) bool {
	return a != nil && b != nil && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// Close closes the preopened directories.
func (s *System) Close() error {
	var first error
	for _, p := range s.config.Preopens {
		if err := p.Dir.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Process is a guest at work: its file descriptors, and its clocks if they are its own. One call runs at a time.
type Process struct {
	system *System
	table  table
	clock  clock
	random io.Reader
	// ended is closed when the guest is to end, while a call may be waiting.
	ended <-chan struct{}
}

// NewProcess starts a process, which stops waiting when ended is closed.
func (s *System) NewProcess(ended <-chan struct{}) *Process {
	p := &Process{system: s, clock: newClock(&s.config), random: s.config.Random, ended: ended}
	if p.random == nil {
		p.random = secureRandom{}
		if s.config.Deterministic {
			p.random = rand.NewChaCha8([32]byte{})
		}
	}
	p.table.add(newStdio(s.stdin, RightWrite))
	p.table.add(newStdio(s.stdout, RightRead))
	p.table.add(newStdio(s.stderr, RightRead))
	for _, preopen := range s.config.Preopens {
		p.table.add(&descriptor{
			dir: preopen.Dir, preopen: preopen.Guest, isPreopen: true, shared: true,
			rights: directoryRights, inheriting: directoryRights | fileRights,
		})
	}
	for _, l := range s.listeners {
		p.table.add(&descriptor{listener: l, shared: true, rights: listenerRights, inheriting: socketRights})
	}
	for _, c := range s.conns {
		p.table.add(&descriptor{stream: c, socket: true, shared: true, rights: socketRights})
	}
	return p
}

// Restart closes what the process has opened, and begins it anew. Its clocks go on if they are the system's. No call may be running.
func (p *Process) Restart(ended <-chan struct{}) {
	p.Close()
	fresh := p.system.NewProcess(ended)
	if _, real := p.SystemClock(); real {
		fresh.clock = p.clock
	}
	*p = *fresh
}

// Opened says in which descriptors the process differs from one that begins; nil if in none.
func (p *Process) Opened() (differs []string) {
	fresh := p.system.NewProcess(nil)
	for fd := range max(len(p.table.list), len(fresh.table.list)) {
		now, then := p.table.get(uint32(fd)), fresh.table.get(uint32(fd))
		switch {
		case now == nil && then == nil:
		case now == nil:
			differs = append(differs, fmt.Sprintf("the guest has closed its file descriptor %d", fd))
		case then == nil || !now.begins(then):
			differs = append(differs, fmt.Sprintf("the guest has opened or changed its file descriptor %d", fd))
		}
	}
	return differs
}

// begins reports whether it is what a process begins with there.
func (d *descriptor) begins(first *descriptor) bool {
	return d.shared && d.stream == first.stream && d.listener == first.listener && d.preopen == first.preopen &&
		d.isPreopen == first.isPreopen && d.rights == first.rights && d.inheriting == first.inheriting && d.flags == first.flags
}

// Close closes what the process has opened. No call may be running.
func (p *Process) Close() {
	for _, d := range p.table.list {
		if d != nil {
			_ = d.close()
		}
	}
	p.table = table{}
}

// stopped is the result of a function that gave up waiting, since the guest is to end. It is no error number.
const stopped Errno = 0xffff

// Stopped reports whether the guest is to end rather than to be given the result.
func (e Errno) Stopped() bool { return e == stopped }
