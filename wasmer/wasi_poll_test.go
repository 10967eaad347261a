package wasmer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const eventClock, eventRead, eventWrite = 0, 1, 2

// event is what poll_oneoff tells.
type event struct {
	userdata    uint64
	errno, kind int
	bytes       uint64
	flags       int
}

// clockSubscription waits for a time; with flag 1 it is one of the clock's, else from now on.
func clockSubscription(userdata uint64, clock uint32, timeout time.Duration, flags uint16) []byte {
	s := make([]byte, 48)
	binary.LittleEndian.PutUint64(s, userdata)
	binary.LittleEndian.PutUint32(s[16:], clock)
	binary.LittleEndian.PutUint64(s[24:], uint64(timeout))
	binary.LittleEndian.PutUint16(s[40:], flags)
	return s
}

func readSubscription(userdata uint64, fd uint32) []byte {
	s := make([]byte, 48)
	binary.LittleEndian.PutUint64(s, userdata)
	s[8] = eventRead
	binary.LittleEndian.PutUint32(s[16:], fd)
	return s
}

func writeSubscription(userdata uint64, fd uint32) []byte {
	s := readSubscription(userdata, fd)
	s[8] = eventWrite
	return s
}

// subscribe puts subscriptions to address 0.
func (p *probe) subscribe(subscriptions ...[]byte) {
	p.t.Helper()
	var list []byte
	for _, s := range subscriptions {
		list = append(list, s...)
	}
	p.put(0, list)
}

// poll is poll_oneoff, which must succeed.
func (p *probe) poll(subscriptions ...[]byte) []event {
	p.t.Helper()
	p.subscribe(subscriptions...)
	require.Zero(p.t, p.errno("poll_oneoff", 0, probeData, len(subscriptions), resultAddress))
	events := []event{}
	for n := range p.u32(resultAddress) {
		data := p.get(probeData+32*n, 32)
		events = append(events, event{
			userdata: binary.LittleEndian.Uint64(data), errno: int(binary.LittleEndian.Uint16(data[8:])), kind: int(data[10]),
			bytes: binary.LittleEndian.Uint64(data[16:]), flags: int(binary.LittleEndian.Uint16(data[24:])),
		})
	}
	return events
}

func TestPollOfClocks(t *testing.T) {
	const wait = 50 * time.Millisecond
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		p := probeOf(t, engine, wasmer.WASIConfig{})
		for name, test := range map[string]struct {
			subscriptions func() [][]byte
			want          []event
		}{
			"relative, monotonic": {func() [][]byte {
				return [][]byte{clockSubscription(7, clockMonotonic, wait, 0)}
			}, []event{{userdata: 7}}},
			"relative, realtime": {func() [][]byte {
				return [][]byte{clockSubscription(7, clockRealtime, wait, 0)}
			}, []event{{userdata: 7}}},
			"absolute, monotonic": {func() [][]byte {
				return [][]byte{clockSubscription(7, clockMonotonic, time.Duration(p.clock(clockMonotonic))+wait, 1)}
			}, []event{{userdata: 7}}},
			"absolute, realtime": {func() [][]byte {
				return [][]byte{clockSubscription(7, clockRealtime, time.Duration(p.clock(clockRealtime))+wait, 1)}
			}, []event{{userdata: 7}}},
			"the first of several": {func() [][]byte {
				return [][]byte{
					clockSubscription(1, clockMonotonic, time.Hour, 0), clockSubscription(2, clockMonotonic, wait, 0),
					clockSubscription(3, clockMonotonic, math.MaxInt64, 0), clockSubscription(4, clockMonotonic, -1, 0),
				}
			}, []event{{userdata: 2}}},
			"those of the same time": {func() [][]byte {
				return [][]byte{clockSubscription(1, clockRealtime, wait, 0), clockSubscription(1, clockMonotonic, wait, 0)}
			}, []event{{userdata: 1}, {userdata: 1}}},
		} {
			t.Run(name, func(t *testing.T) {
				start := time.Now()
				subscriptions := test.subscriptions()
				require.Equal(t, test.want, p.poll(subscriptions...))
				require.GreaterOrEqual(t, time.Since(start), wait)
				require.Less(t, time.Since(start), 20*wait)
			})
		}
	})
}

func TestPollReturnsAtOnce(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		input, typed := io.Pipe()
		defer typed.Close()
		p := probeOf(t, engine, wasmer.WASIConfig{Stdin: input, Stdout: io.Discard})
		file := wasmer.Mount{Guest: "/", Host: wasiFolder(t)}
		hour := clockSubscription(9, clockMonotonic, time.Hour, 0)
		for name, test := range map[string]struct {
			subscriptions [][]byte
			want          []event
		}{
			"zero timeout":                        {[][]byte{clockSubscription(1, clockMonotonic, 0, 0)}, []event{{userdata: 1}}},
			"zero timeout, input that waits":      {[][]byte{readSubscription(2, 0), clockSubscription(1, clockMonotonic, 0, 0)}, []event{{userdata: 1}}},
			"time that has passed":                {[][]byte{clockSubscription(1, clockRealtime, time.Second, 1), hour}, []event{{userdata: 1}}},
			"no clock":                            {[][]byte{clockSubscription(1, 99, 0, 0), hour}, []event{{userdata: 1, errno: errnoInval}}},
			"unknown flags of a clock":            {[][]byte{clockSubscription(1, clockMonotonic, 0, 2), hour}, []event{{userdata: 1, errno: errnoInval}}},
			"no descriptor":                       {[][]byte{hour, readSubscription(1, 77), writeSubscription(2, 77)}, []event{{1, errnoBadf, eventRead, 0, 0}, {2, errnoBadf, eventWrite, 0, 0}}},
			"to read what can only be written":    {[][]byte{hour, readSubscription(1, 1)}, []event{{1, errnoBadf, eventRead, 0, 0}}},
			"to write what can only be read":      {[][]byte{hour, writeSubscription(1, 0)}, []event{{1, errnoBadf, eventWrite, 0, 0}}},
			"errors come together with the rest ": {[][]byte{readSubscription(1, 77), clockSubscription(2, clockMonotonic, 0, 0)}, []event{{1, errnoBadf, eventRead, 0, 0}, {userdata: 2}}},
		} {
			t.Run(name, func(t *testing.T) {
				start := time.Now()
				require.Equal(t, test.want, p.poll(test.subscriptions...))
				require.Less(t, time.Since(start), time.Second)
			})
		}
		events := p.poll(hour, writeSubscription(5, 1))
		require.Len(t, events, 1)
		require.NotZero(t, events[0].bytes)
		require.Equal(t, event{5, 0, eventWrite, events[0].bytes, 0}, events[0])

		p = probeOf(t, engine, wasmer.WASIConfig{Mounts: []wasmer.Mount{file}})
		opened, errno := p.open(3, "sub/numbers", 0)
		require.Zero(t, errno)
		require.Equal(t, []event{{1, 0, eventRead, 4, 0}}, p.poll(readSubscription(1, uint32(opened))))
		_, _ = p.read(opened, 1)
		require.Equal(t, []event{{1, 0, eventRead, 3, 0}}, p.poll(readSubscription(1, uint32(opened))))
	})
}

func TestPollRefuses(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		p := probeOf(t, engine, wasmer.WASIConfig{})
		p.subscribe(clockSubscription(1, clockMonotonic, 0, 0))
		require.Equal(t, errnoInval, p.errno("poll_oneoff", 0, probeData, 0, resultAddress))
		require.Equal(t, errnoFault, p.errno("poll_oneoff", pastMemory-47, probeData, 1, resultAddress))
		require.Equal(t, errnoFault, p.errno("poll_oneoff", 0, pastMemory-31, 1, resultAddress))
		require.Equal(t, errnoFault, p.errno("poll_oneoff", 0, probeData, 1, pastMemory-3))
		require.Equal(t, errnoFault, p.errno("poll_oneoff", 0, probeData, -1, resultAddress))
		require.Zero(t, p.errno("poll_oneoff", 0, 0, 1, 40), "all of it may lie at one place")
		unknown := clockSubscription(1, clockMonotonic, 0, 0)
		unknown[8] = 3
		p.subscribe(unknown)
		require.Equal(t, errnoInval, p.errno("poll_oneoff", 0, probeData, 1, resultAddress))
	})
}

func TestPollOfInput(t *testing.T) {
	hour := clockSubscription(9, clockMonotonic, time.Hour, 0)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		t.Run("that is there", func(t *testing.T) {
			p := probeOf(t, engine, wasmer.WASIConfig{Stdin: strings.NewReader("typed")})
			require.Equal(t, []event{{3, 0, eventRead, 5, 0}}, p.poll(hour, readSubscription(3, 0)))
			require.Equal(t, "typed", p.readAll(0, 3))
			require.Equal(t, []event{{3, 0, eventRead, 0, 1}}, p.poll(hour, readSubscription(3, 0)), "the end is a hangup")
		})
		t.Run("that comes", func(t *testing.T) {
			input, typed := io.Pipe()
			p := probeOf(t, engine, wasmer.WASIConfig{Stdin: input})
			start := time.Now()
			require.Equal(t, []event{{userdata: 8}}, p.poll(readSubscription(3, 0), clockSubscription(8, clockMonotonic, 20*time.Millisecond, 0)))
			require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
			go func() {
				time.Sleep(20 * time.Millisecond)
				_, _ = io.WriteString(typed, "typed")
				_ = typed.Close()
			}()
			require.Equal(t, []event{{3, 0, eventRead, 5, 0}}, p.poll(hour, readSubscription(3, 0)))
			require.Equal(t, "typed", p.readAll(0, 2))
			events := p.poll(hour, readSubscription(3, 0))
			require.Len(t, events, 1)
			require.Zero(t, events[0].errno, "the end can be read without waiting")
			require.Empty(t, p.readAll(0, 2))
		})
		t.Run("that fails", func(t *testing.T) {
			input, typed := io.Pipe()
			require.NoError(t, typed.CloseWithError(io.ErrUnexpectedEOF))
			p := probeOf(t, engine, wasmer.WASIConfig{Stdin: input})
			require.Len(t, p.poll(hour, readSubscription(3, 0)), 1)
			_, errno := p.read(0, 1)
			require.Equal(t, errnoIO, errno)
		})
	})
}

func TestNonblockingInput(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		input, typed := io.Pipe()
		p := probeOf(t, engine, wasmer.WASIConfig{Stdin: input})
		require.Zero(t, p.errno("fd_fdstat_set_flags", 0, flagNonblock))
		require.Zero(t, p.errno("fd_fdstat_get", 0, resultAddress))
		require.Equal(t, []byte{flagNonblock, 0}, p.get(resultAddress+2, 2))
		for range 3 {
			_, errno := p.read(0, 10)
			require.Equal(t, errnoAgain, errno)
		}
		go func() {
			_, _ = io.WriteString(typed, "typed")
			_ = typed.Close()
		}()
		require.Len(t, p.poll(readSubscription(3, 0)), 1)
		data, errno := p.read(0, 10)
		require.Zero(t, errno)
		require.Equal(t, "typed", data)
		p.poll(readSubscription(3, 0))
		data, errno = p.read(0, 10)
		require.Zero(t, errno)
		require.Empty(t, data)
		require.Equal(t, errnoInval, p.errno("fd_fdstat_set_flags", 0, 32))
	})
}

func TestContextEndsSleep(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, config := range map[string]wasmer.WASIConfig{
			"really": {},
			"in a Sleep that heeds the context": {Sleep: func(ctx context.Context, _ time.Duration) error {
				<-ctx.Done()
				return ctx.Err()
			}},
			"in a Sleep that heeds it and says nothing": {Sleep: func(ctx context.Context, _ time.Duration) error {
				<-ctx.Done()
				return nil
			}},
		} {
			t.Run(name, func(t *testing.T) {
				p := probeOf(t, engine, config)
				p.subscribe(clockSubscription(1, clockMonotonic, time.Hour, 0))
				requireEndsWaiting(t, p, "poll_oneoff", 0, probeData, 1, resultAddress)
			})
		}
	})
}

// waitsFor is how long a test lets a guest wait before it ends it, and soon how fast it must then end.
const waitsFor, soon = 20 * time.Millisecond, 500 * time.Millisecond

// requireEndsWaiting calls a function of WASI that waits, ends it by a context, and then, by closing the instance, another
// call that no context ends.
func requireEndsWaiting(t *testing.T, p *probe, name string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithCancel(background)
	var ended time.Time
	p.ctx = ctx
	time.AfterFunc(waitsFor, func() { ended = time.Now(); cancel() })
	_, err := p.try(name, args...)
	require.Less(t, time.Since(ended), soon)
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	require.ErrorIs(t, err, context.Canceled)

	p.ctx = background
	time.AfterFunc(waitsFor, func() { ended = time.Now(); _ = p.CloseWithExitCode(9) })
	_, err = p.try(name, args...)
	require.Less(t, time.Since(ended), soon)
	require.ErrorIs(t, err, &wasmer.ExitError{Code: 9})
}

// However much a guest waits for, the host is not overwhelmed.
func TestPollOfVeryMuch(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		const count = 66_000
		input, typed := io.Pipe()
		defer typed.Close()
		p := probeOf(t, engine, wasmer.WASIConfig{Stdin: input})
		p.put(0, bytes.Repeat(readSubscription(7, 0), count))
		ctx, cancel := context.WithTimeout(background, 100*time.Millisecond)
		defer cancel()
		p.ctx = ctx
		errno, err := p.try("poll_oneoff", 0, 0, count, 48*count)
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		} else {
			require.NotZero(t, errno)
		}
	})
}

func TestContextEndsAStartFunctionThatSleeps(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		ctx, cancel := context.WithTimeout(background, waitsFor)
		defer cancel()
		module := compile(t, engine, `(module
			(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
			(memory (export "memory") 1) (data (i32.const 24) "\00\00\00\00\00\00\00\10")
			(func $start (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
			(start $start))`)
		start := time.Now()
		_, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{})))
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(start), waitsFor+soon)
	})
}

func TestClocksNeverGoBack(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		p := probeOf(t, engine, wasmer.WASIConfig{})
		const margin = uint64(10 * time.Millisecond)
		for clock := range 4 {
			last := p.clock(clock)
			require.NotZero(t, last)
			for range 1000 {
				before := time.Now()
				now := p.clock(clock)
				if now < last {
					t.Fatalf("clock %d: %d after %d", clock, now, last)
				}
				if wall := uint64(before.UnixNano()); clock == clockRealtime && now+margin < wall {
					t.Fatalf("%d, the host has %d", now, wall)
				}
				last = now
			}
		}
		for range 600 {
			require.Equal(t, errnoFault, p.errno("clock_time_get", clockMonotonic, 0, pastMemory-7))
			require.Equal(t, errnoFault, p.errno("clock_time_get", clockRealtime, 0, -8))
			require.Equal(t, errnoInval, p.errno("clock_time_get", 4, 0, 0))
			require.Zero(t, p.errno("clock_time_get", clockMonotonic, 0, pastMemory-8))
		}
	})
}

// busyWait looks at the clock all the time.
const busyWait = `(module (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "_start") (loop $again (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8))) (br $again))))`

func TestABusyWaitIsEnded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, busyWait, wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{})))
		ctx, cancel := context.WithTimeout(background, waitsFor)
		defer cancel()
		start := time.Now()
		err := instance.Start(ctx)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.AfterFunc(waitsFor, func() { _ = instance.CloseWithExitCode(4) })
		requireExit(t, instance.Start(background), 4)
		require.Less(t, time.Since(start), 2*waitsFor+soon)
	})
}
