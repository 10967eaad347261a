package wasmer

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/pprof"
)

// ProfileConfig are the options of a profile. The zero value is a good choice.
type ProfileConfig struct {
	// Rate is the number of samples a second of CPU time of a thread, up to 10,000; 0 means 100. Linux takes one a tick of its
	// clock at most, which is 100 to 1000 a second, and counts those that it could not take.
	Rate int
}

// Profile is a profile being taken.
type Profile struct {
	w      io.Writer
	start  time.Time
	period time.Duration
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
	err    error
}

// ErrProfiling: a profile is being taken already.
var ErrProfiling = errors.New("wasmer: a profile is being taken already")

var profiling sync.Mutex

const (
	defaultProfileRate = 100
	maxProfileRate     = 10_000
	// profileTurn is how long a new thread may go unseen; the ring holds more than the samples of this time.
	profileTurn = 10 * time.Millisecond
)

// StartProfile begins to measure in which functions guests spend CPU time: all guests of the process, also those that run
// already. Stop ends it and writes the profile to w, in the format of `go tool pprof`. Functions have their names and, if
// the module has debug information, lines, inlined calls included. Time that host functions take is not a part: runtime/pprof
// has it, and may run at the same time. Of code that Singlepass made, the lines are those of calls and of the functions'
// beginnings. While nothing is measured it costs nothing.
//
// One profile is taken at a time: a second one is ErrProfiling. Only Linux has the timers that it takes, ErrUnsupported
// tells elsewhere.
func StartProfile(w io.Writer, config ProfileConfig) (*Profile, error) {
	if config.Rate < 0 || config.Rate > maxProfileRate {
		return nil, fmt.Errorf("wasmer: profile: Rate is %d, must lie between 0 and %d", config.Rate, maxProfileRate)
	}
	if config.Rate == 0 {
		config.Rate = defaultProfileRate
	}
	if !profiling.TryLock() {
		return nil, ErrProfiling
	}
	p := &Profile{
		w: w, start: time.Now(), period: time.Second / time.Duration(config.Rate),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := ffi.StartProfile(p.period); err != nil {
		profiling.Unlock()
		return nil, translate("profile", err)
	}
	go p.run()
	return p, nil
}

func (p *Profile) run() {
	defer close(p.done)
	ticker := time.NewTicker(profileTurn)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			ffi.ProfileTurn()
		case <-p.stop:
			return
		}
	}
}

// Stop ends the profile and writes it. It gives the writer's error. Stopping again does nothing, and gives the same.
func (p *Profile) Stop() error {
	p.once.Do(func() {
		close(p.stop)
		<-p.done
		d := ffi.StopProfile()
		duration := time.Since(p.start)
		profiling.Unlock()
		out := decodeProfile(d)
		out.Start, out.Duration, out.Period = p.start, duration, p.period
		p.err = out.Write(p.w)
	})
	return p.err
}

func decodeProfile(d *ffi.Decoder) *pprof.Profile {
	stack := d.Stack()
	out := &pprof.Profile{Locations: make([]pprof.Location, len(stack.Frames))}
	for i, frame := range decodeFrames(stack) {
		location := pprof.Location{Module: frame.Module, Address: uint64(frame.ModuleOffset)}
		sources := frame.Source()
		for i, source := range sources {
			line := pprof.Line{Name: source.Function, SystemName: source.Function, File: source.File, Line: source.Line}
			if i == len(sources)-1 { // of the function itself the names are known better
				line.Name, line.SystemName = frame.name(), frame.RawName
			}
			location.Lines = append(location.Lines, line)
		}
		if len(sources) == 0 {
			location.Lines = []pprof.Line{{Name: frame.name(), SystemName: frame.RawName}}
		}
		out.Locations[i] = location
	}
	out.Samples = make([]pprof.Sample, d.Uint32())
	for i := range out.Samples {
		sample := pprof.Sample{Count: int64(d.Uint64()), Locations: make([]int, d.Uint32())}
		for j := range sample.Locations {
			sample.Locations[j] = int(d.Uint32())
		}
		out.Samples[i] = sample
	}
	if lost := d.Uint64(); lost > 0 {
		out.Comments = append(out.Comments, fmt.Sprintf("%d samples were lost", lost))
	}
	return out
}
