package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// option is one of a tool.
type option struct {
	name string
	// value names what follows; empty if nothing does.
	value   string
	help    string
	several bool
}

// proposals are those that have an option: to be enabled, or disabled.
var proposals = []struct {
	name    string
	feature wasmer.Feature
	enable  bool
}{
	{"import-export-mut-globals", wasmer.FeatureMutableGlobal, false},
	{"non-trap-float-to-int", wasmer.FeatureNontrappingFloatToInt, false},
	{"sign-extension-operators", wasmer.FeatureSignExtension, false},
	{"multi-value", wasmer.FeatureMultiValue, false},
	{"bulk-memory", wasmer.FeatureBulkMemory, false},
	{"reference-types", wasmer.FeatureReferenceTypes, false},
	{"simd", wasmer.FeatureSIMD, false},
	{"multi-memory", wasmer.FeatureMultiMemory, true},
	{"tail-call", wasmer.FeatureTailCall, true},
	{"extended-const", wasmer.FeatureExtendedConst, true},
	{"threads", wasmer.FeatureThreads, true},
}

// commonOptions are those of all tools.
func commonOptions() []option {
	options := []option{
		{name: "enable-instruction-count", help: "count instructions"},
		{name: "enable-gas-measuring", help: "add up what instructions cost"},
		{name: "enable-time-measuring", help: "measure times"},
		{name: "enable-all-statistics", help: "all of the three"},
		{name: "enable-all", help: "enable all proposals that the compiler supports"},
		{name: "help", help: "show this"},
		{name: "version", help: "show the version"},
	}
	for _, proposal := range proposals {
		if proposal.enable {
			options = append(options, option{name: "enable-" + proposal.name, help: "enable the proposal " + proposal.feature.String()})
		} else {
			options = append(options, option{name: "disable-" + proposal.name, help: "disable the proposal " + proposal.feature.String()})
		}
	}
	return options
}

func runOptions() []option {
	return append([]option{
		{name: "reactor", help: "call a function, by the name and the arguments that follow WASM"},
		{name: "dir", value: "GUEST:HOST[:readonly]", help: "give the guest a folder; one path stands for both", several: true},
		{name: "env", value: "NAME=VALUE", help: "set a variable of the guest's environment", several: true},
		{name: "force-interpreter", help: "run code of the baseline compiler only: there is no interpreter"},
		{name: "allow-af-unix", help: "is refused: guests have no sockets but those that the host makes"},
		{name: "time-limit", value: "MS", help: "stop the guest after so many milliseconds; 0 for none"},
		{name: "gas-limit", value: "N", help: "end the guest before it would have cost more; 0 for no limit"},
		{name: "memory-page-limit", value: "N", help: "bound each memory, in pages of 64 KiB; 0 for no limit"},
		{name: "forbidden-plugin", value: "NAME", help: "leave out the modules of a plug-in", several: true},
		{name: "allow-command", value: "NAME", help: "let guests run a command of the host (wasmedge_process)", several: true},
		{name: "allow-command-all", help: "let guests run any command, with any environment"},
	}, commonOptions()...)
}

func compileOptions() []option {
	return append([]option{
		{name: "optimize", value: "LEVEL", help: "0, 1, 2, 3, s or z, or the nearest that the compiler has; else 2"},
		{name: "generic-binary", help: "make code for each machine with this architecture"},
		{name: "dump", help: "write intermediate code into the folder WASM_SO.dump"},
		{name: "interruptible", help: "is always so, and costs nothing"},
	}, commonOptions()...)
}

// parse reads the options, up to the first word that is none.
func (t *tool) parse() error {
	t.given = map[string][]string{}
	for words := t.args; len(words) > 0; words = words[1:] {
		word := words[0]
		switch {
		case word == "--":
			t.rest = words[1:]
			return nil
		case word == "-h":
			word = "--help"
		case word == "-v":
			word = "--version"
		case !strings.HasPrefix(word, "-") || word == "-":
			t.rest = words
			return nil
		}
		name, value, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
		at := slices.IndexFunc(t.options, func(o option) bool { return o.name == name })
		if at < 0 || !strings.HasPrefix(word, "--") {
			return fmt.Errorf("unknown option %s", words[0])
		}
		o := t.options[at]
		switch {
		case o.value == "" && inline:
			return fmt.Errorf("--%s takes no value", name)
		case o.value != "" && !inline:
			if words = words[1:]; len(words) == 0 {
				return fmt.Errorf("--%s takes a value: --%s %s", name, name, o.value)
			}
			value = words[0]
		}
		if len(t.given[name]) > 0 && o.value != "" && !o.several {
			return fmt.Errorf("--%s is given twice", name)
		}
		t.given[name] = append(t.given[name], value)
	}
	return nil
}

func (t *tool) has(name string) bool { return len(t.given[name]) > 0 }

// value is that of an option; empty if it was not given.
func (t *tool) value(name string) string {
	if !t.has(name) {
		return ""
	}
	return t.given[name][0]
}

// number reads the value of an option; 0 if it was not given.
func (t *tool) number(name string, bits int) (uint64, error) {
	if !t.has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(t.value(name), 10, bits)
	if err != nil {
		return 0, fmt.Errorf("cli: --%s %q is no number from 0 to %d", name, t.value(name), uint64(1)<<(bits-1)-1+uint64(1)<<(bits-1))
	}
	return n, nil
}

func (t *tool) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s [OPTIONS] %s\n\n", t.name, t.operand)
	for _, o := range t.options {
		fmt.Fprintf(&b, "  %-34s %s\n", strings.TrimSpace("--"+o.name+" "+o.value), o.help)
	}
	return b.String()
}
