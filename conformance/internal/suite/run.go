package suite

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// An Outcome is what became of a command.
type Outcome int

// The outcomes.
const (
	Passed Outcome = iota
	Failed
	// NotSupported counts for a command whose module needs what the engine does not have, and for all that depend on it.
	NotSupported
	// NotConverted counts for what the converter could not read: a gap of these tests, not of an engine.
	NotConverted
)

// A Result is the outcome of one command. Its reason is the feature that is not supported, or why it failed.
type Result struct {
	Line    int
	Type    string
	Outcome Outcome
	Reason  string
}

// Run runs a script and returns a result for each command.
func Run(engine Engine, script Script) (results []Result) {
	store, err := engine.Open(script.Name)
	if err != nil {
		return []Result{{Line: 1, Type: "open", Outcome: Failed, Reason: err.Error()}}
	}
	defer func() {
		if err := store.Close(); err != nil {
			results = append(results, Result{Type: "close", Outcome: Failed, Reason: err.Error()})
		}
	}()
	r := &runner{
		store:       store,
		named:       map[string]linked{},
		definitions: map[string]definition{},
		registered:  map[string]linked{},
	}
	r.runAll(script.Commands)
	return r.results
}

type runner struct {
	store Store
	// current and latest are what commands mean that name no instance, or no definition.
	current     linked
	latest      definition
	named       map[string]linked
	definitions map[string]definition
	registered  map[string]linked
	results     []Result
}

// linked is an instance, or why there is none.
type linked struct {
	instance Instance
	err      error
}

// definition is a module, or why there is none.
type definition struct {
	module Module
	err    error
}

func (r *runner) runAll(commands []Command) {
	for _, c := range commands {
		switch c.Type {
		case "thread":
			r.runThread(c)
		default:
			outcome, reason := judge(r.run(c))
			if c.Type == "not_converted" {
				outcome, reason = NotConverted, c.Text
			}
			r.results = append(r.results, Result{c.Line, c.Type, outcome, reason})
		}
	}
}

// runThread runs a thread to its end before the script goes on, which is one of the orders that the script allows.
func (r *runner) runThread(c Command) {
	thread := &runner{
		store:       r.store,
		named:       map[string]linked{c.SharedModule: r.lookup(c.SharedModule)},
		definitions: r.definitions,
		registered:  r.registered,
	}
	thread.runAll(c.Commands)
	r.results = append(r.results, thread.results...)
}

func judge(err error) (Outcome, string) {
	var unsupported *Unsupported
	switch {
	case err == nil:
		return Passed, ""
	case errors.As(err, &unsupported):
		return NotSupported, unsupported.Feature
	}
	return Failed, err.Error()
}

func (r *runner) run(c Command) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	switch c.Type {
	case "module":
		r.define(c)
		r.instantiate(c.Name, r.latest)
		return r.current.err
	case "module_definition":
		r.define(c)
		return r.latest.err
	case "module_instance":
		r.instantiate(c.Instance, r.definition(c.Module))
		return r.current.err
	case "register":
		return r.register(c)
	case "action":
		_, err := r.act(c.Action)
		return err
	case "assert_return":
		return r.assertReturn(c)
	case "assert_trap", "assert_exhaustion":
		_, err := r.act(c.Action)
		return expectTrap(err, c.Text)
	case "assert_exception":
		_, err := r.act(c.Action)
		return expectException(err)
	case "assert_invalid", "assert_malformed", "assert_invalid_custom", "assert_malformed_custom":
		return r.assertRefused(c)
	case "assert_unlinkable":
		_, err := r.link(r.compile(c.Source))
		return expectUnlinkable(err)
	case "assert_uninstantiable":
		_, err := r.link(r.compile(c.Source))
		return expectTrap(err, c.Text)
	case "wait", "not_converted":
		return nil
	}
	return fmt.Errorf("this runner does not know the command %q", c.Type)
}

func (r *runner) compile(source Source) definition {
	module, err := r.store.Compile(source)
	return definition{module, err}
}

func (r *runner) define(c Command) {
	r.latest = r.compile(c.Source)
	r.definitions[c.Name] = r.latest
}

func (r *runner) definition(name string) definition {
	if name == "" {
		return r.latest
	}
	if d, ok := r.definitions[name]; ok {
		return d
	}
	return definition{err: fmt.Errorf("no module %q", name)}
}

func (r *runner) instantiate(name string, d definition) {
	instance, err := r.link(d)
	r.current = linked{instance, err}
	if name != "" {
		r.named[name] = r.current
	}
}

func (r *runner) link(d definition) (Instance, error) {
	if d.err != nil {
		return nil, d.err
	}
	instance, err := r.store.Instantiate(d.module)
	var unlinkable *Unlinkable
	if errors.As(err, &unlinkable) {
		for _, name := range unlinkable.Modules {
			// Nobody can tell whether it would link if the other module were there.
			if missing := r.registered[name].err; missing != nil {
				return nil, missing
			}
		}
	}
	return instance, err
}

func (r *runner) lookup(name string) linked {
	if name == "" {
		return r.current
	}
	if l, ok := r.named[name]; ok {
		return l
	}
	return linked{err: fmt.Errorf("no instance %q", name)}
}

func (r *runner) register(c Command) error {
	l := r.lookup(c.Name)
	if l.err == nil {
		l.err = r.store.Register(c.As, l.instance)
	}
	r.registered[c.As] = l
	return l.err
}

func (r *runner) act(a *Action) ([]Value, error) {
	l := r.lookup(a.Module)
	if l.err != nil {
		return nil, fmt.Errorf("its module: %w", l.err)
	}
	if a.Type == "get" {
		v, err := l.instance.Get(a.Field)
		return []Value{v}, err
	}
	args := make([]Value, len(a.Args))
	for i, arg := range a.Args {
		var err error
		if args[i], err = arg.argument(); err != nil {
			return nil, fmt.Errorf("argument %v: %w", arg, err)
		}
	}
	return l.instance.Invoke(a.Field, args)
}
