package suite

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRun proves that commands fail that should: a runner that lets everything pass would look just as good.
func TestRun(t *testing.T) {
	one := []Const{{Type: "i32", Value: json.RawMessage(`"1"`)}}
	good, bad, lacking := Source{Binary: []byte("good")}, Source{Binary: []byte("bad")}, Source{Binary: []byte("lacking")}
	call := func(module, field string) *Action { return &Action{Type: "invoke", Module: module, Field: field} }
	results := Run(fake{}, Script{Commands: []Command{
		0:  {Type: "module", Name: "a", Source: good},
		1:  {Type: "assert_return", Action: call("", "one"), Expected: one},
		2:  {Type: "assert_return", Action: call("", "two"), Expected: one},
		3:  {Type: "assert_return", Action: call("", "one")},
		4:  {Type: "assert_trap", Action: call("", "one"), Text: "unreachable"},
		5:  {Type: "assert_trap", Action: call("", "trap"), Text: "unreachable"},
		6:  {Type: "assert_trap", Action: call("", "trap"), Text: "integer overflow"},
		7:  {Type: "assert_invalid", Source: good},
		8:  {Type: "assert_invalid", Source: bad},
		9:  {Type: "assert_malformed", Source: lacking},
		10: {Type: "assert_exception", Action: call("", "trap")},
		11: {Type: "assert_unlinkable", Source: good},
		12: {Type: "module", Name: "b", Source: lacking},
		13: {Type: "assert_return", Action: call("", "one"), Expected: one},
		14: {Type: "assert_return", Action: call("a", "one"), Expected: one},
		15: {Type: "register", Name: "b", As: "B"},
		16: {Type: "module", Source: Source{Binary: []byte("needs B")}},
		17: {Type: "module", Source: bad},
		18: {Type: "assert_return", Action: call("c", "one"), Expected: one},
		19: {Type: "not_converted", Text: "why"},
		20: {Type: "no such command"},
		21: {Type: "thread", SharedModule: "a", Commands: []Command{{Type: "action", Action: call("a", "panic")}}},
	}})
	want := []Outcome{
		Passed, Passed, Failed, Failed, Failed, Passed, Failed, Failed, Passed, Passed, Failed, Failed,
		NotSupported, NotSupported, Passed, NotSupported, NotSupported, Failed, Failed, NotConverted, Failed, Failed,
	}
	require.Len(t, results, len(want))
	for i, result := range results {
		require.Equal(t, want[i], result.Outcome, "%d: %+v", i, result)
	}
	require.Equal(t, "holes", results[16].Reason)
}

// fake is an engine whose modules do what their bytes say.
type fake struct{}

func (fake) Name() string                    { return "fake" }
func (fake) Open(string) (Store, error)      { return fake{}, nil }
func (fake) Close() error                    { return nil }
func (fake) Register(string, Instance) error { return nil }
func (fake) Get(string) (Value, error)       { return Value{}, nil }

func (fake) Compile(source Source) (Module, error) {
	switch string(source.Binary) {
	case "bad":
		return nil, errors.New("bad")
	case "lacking":
		return nil, &Unsupported{Feature: "holes", Err: errors.New("lacking")}
	}
	return string(source.Binary), nil
}

func (f fake) Instantiate(module Module) (Instance, error) {
	if module == "needs B" {
		return nil, &Unlinkable{Modules: []string{"B"}, Err: errors.New("no B")}
	}
	return f, nil
}

func (fake) Invoke(field string, _ []Value) ([]Value, error) {
	switch field {
	case "two":
		return []Value{{Type: "i32", Lo: 2}}, nil
	case "trap":
		return nil, &Trap{Kinds: []TrapKind{Unreachable}, Err: errors.New("unreachable")}
	case "panic":
		panic("the engine")
	}
	return []Value{{Type: "i32", Lo: 1}}, nil
}
