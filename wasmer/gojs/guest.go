package gojs

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	crand "crypto/rand"
	"math/rand/v2"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// guest is a running program, with the JavaScript world that it sees. It belongs to the goroutine of Host.Start.
type guest struct {
	host *Host
	// ctx is that of all calls, and leads host functions back here.
	ctx context.Context
	// waiting ends with ctx and with the instance: between the calls, while the guest waits, nothing else tells of that.
	waiting    context.Context
	endWaiting context.CancelFunc
	instance   *wasmer.Instance
	memory     *wasmer.Memory
	// run starts the program, resume lets it go on after an event, getsp gives its stack pointer.
	run, resumeFunction, getsp *wasmer.Function

	clock clock
	// random fills with random bytes.
	random func(p []byte) error

	prototypes prototypes
	goObject   *object
	references *references
	budget     budget
	// depth is how deep functions of the host call each other, building the length of the strings under construction.
	depth, building int

	events []event
	timers timers
	// transfers counts those under way. They end in completions, unless done is closed.
	transfers   int
	completions chan completion
	// streaming are those of fs.read and fs.write among them.
	streaming map[*transfer]bool
	done      chan struct{}
	// starved says that the guest was told of its deadlock.
	starved bool

	files   files
	process process
	// calls counts those of fs, hostCalls those of all functions.
	calls, hostCalls uint64

	// resumes counts how often the guest was resumed.
	resumes uint64
	// exit is set when the program has exited, failed when running it has ended with an error.
	exit   *wasmer.ExitError
	failed bool
	// missing is the property that the guest asked for last, if there is none.
	missing string
}

func newGuest(ctx context.Context, h *Host, instance *wasmer.Instance) (*guest, error) {
	g := &guest{
		host: h, instance: instance, clock: newClock(&h.config),
		completions: make(chan completion), done: make(chan struct{}), streaming: map[*transfer]bool{},
	}
	if err := g.attach(instance); err != nil {
		return nil, err
	}
	g.ctx = context.WithValue(ctx, guestKey{}, g)
	g.random = g.newRandom()
	g.budget.look = plenty
	g.files = newFiles(h)
	g.process.mask = 0o022
	g.startDirectory()
	global := g.newWorld()
	g.references = newReferences(global, g.goObject)
	g.waiting, g.endWaiting = context.WithCancel(g.ctx)
	go func() {
		defer g.endWaiting()
		select {
		case <-instance.Done():
		case <-g.waiting.Done():
		}
	}()
	return g, nil
}

// attach finds what a Go program exports.
func (g *guest) attach(instance *wasmer.Instance) (err error) {
	if g.memory, err = instance.ExportedMemory("mem"); err != nil {
		return notGo(err)
	}
	for _, want := range []struct {
		function **wasmer.Function
		name     string
		params   []wasmer.ValueType
		results  []wasmer.ValueType
	}{
		{&g.run, "run", []wasmer.ValueType{wasmer.ValueTypeI32, wasmer.ValueTypeI32}, nil},
		{&g.resumeFunction, "resume", nil, nil},
		{&g.getsp, "getsp", nil, []wasmer.ValueType{wasmer.ValueTypeI32}},
	} {
		f, err := instance.Function(want.name)
		if err != nil {
			return notGo(err)
		}
		if typ := f.Type(); !slices.Equal(typ.Params, want.params) || !slices.Equal(typ.Results, want.results) {
			return notGo(fmt.Errorf("the export %q is %s", want.name, typ))
		}
		*want.function = f
	}
	return nil
}

func notGo(err error) error {
	return fmt.Errorf("gojs: the module is no Go program for GOOS=js: %w", err)
}

// newRandom gives each deterministic guest the same numbers.
func (g *guest) newRandom() func(p []byte) error {
	switch {
	case g.host.config.Random != nil:
		return func(p []byte) error {
			g.host.randomness.Lock()
			defer g.host.randomness.Unlock()
			if _, err := io.ReadFull(g.host.config.Random, p); err != nil {
				return fmt.Errorf("the configured Random: %w", err)
			}
			return nil
		}
	case g.host.config.Deterministic:
		source := rand.NewChaCha8([32]byte{})
		return func(p []byte) error {
			_, err := source.Read(p)
			return err
		}
	}
	return func(p []byte) error {
		_, err := crand.Read(p)
		return err
	}
}

// main runs the program to its end.
func (g *guest) main() error {
	argc, argv, err := g.writeArguments()
	if err != nil {
		return err
	}
	if err := g.run.CallRaw(g.ctx, []uint64{argc, argv}); err != nil {
		return err
	}
	return g.loop()
}

// The linker leaves this part of the memory to the arguments and the environment.
const (
	argumentsStart = 4096
	argumentsEnd   = argumentsStart + 8192
)

// writeArguments puts arguments and environment into the memory: NUL-terminated strings, followed by the pointers to them,
// each kind ended by a null pointer.
func (g *guest) writeArguments() (argc, argv uint64, err error) {
	config := &g.host.config
	var data []byte
	var pointers []uint64
	add := func(s string) {
		pointers = append(pointers, argumentsStart+uint64(len(data)))
		data = append(data, s...)
		data = append(data, make([]byte, 8-len(s)%8)...)
	}
	for _, arg := range config.Args {
		add(arg)
	}
	pointers = append(pointers, 0)
	for _, key := range slices.Sorted(maps.Keys(config.Env)) {
		add(key + "=" + config.Env[key])
	}
	pointers = append(pointers, 0)
	argv = argumentsStart + uint64(len(data))
	for _, pointer := range pointers {
		data = append(data, byte(pointer), byte(pointer>>8), 0, 0, 0, 0, 0, 0)
	}
	if room := argumentsEnd - argumentsStart; len(data) >= room {
		return 0, 0, fmt.Errorf("gojs: Args and Env take %d bytes, there is room for %d", len(data), room-1)
	}
	return uint64(len(config.Args)), argv, g.memory.Write(argumentsStart, data)
}

// resumeWith lets the guest handle a call of one of its functions.
func (g *guest) resumeWith(pending *object) error {
	g.goObject.properties.set("_pendingEvent", pending)
	return g.resume()
}

// resume lets the guest run until it waits again.
func (g *guest) resume() error {
	g.resumes++
	err := g.resumeFunction.CallRaw(g.ctx, nil)
	g.failed = g.failed || err != nil
	return err
}

// miss notes that a property of the host's world is not there.
func (g *guest) miss(o *object, key string) {
	if o.name != "" {
		g.missing = shortened(o.nameOf(key))
	}
}

// close gives up what the guest has open.
func (g *guest) close() {
	close(g.done)
	g.endWaiting()
	g.files.close()
}
