package wasmer

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// cliCommand is one of the words after wasmer-go.
type cliCommand struct {
	name, summary string
	// operand is what the command works on; in brackets it may be absent, and none is empty.
	operand string
	// second is what it is given besides; empty for nothing.
	second  string
	options []cliOption
	// guest says that what follows the operand is for a guest.
	guest bool
	// notes and examples end the help.
	notes, examples string
	do              func(*cli, context.Context) error
}

// cliOption is an option of a command.
type cliOption struct {
	name string
	// value names what follows; empty if nothing does.
	value string
	// summary is what the option does. Its first line says it in short.
	summary  string
	repeated bool
}

// The list is made by a function because help, which is in it, needs it, and for programs without a command line to do
// nothing about it.
func cliCommands() []*cliCommand {
	return []*cliCommand{
		cliRunCommand(), cliCompileCommand(), cliInspectCommand(), cliValidateCommand(), cliWat2WasmCommand(), cliCacheCommand(),
		cliCompletionCommand(),
		{name: "version", summary: "show the versions of what this is made of", do: (*cli).version},
		{name: "help", operand: "[COMMAND]", summary: "explain the commands", do: (*cli).help},
	}
}

func cliCommandNames() []string {
	var names []string
	for _, command := range cliCommands() {
		names = append(names, command.name)
	}
	return names
}

func cliFind(name string) *cliCommand {
	for _, command := range cliCommands() {
		if command.name == name {
			return command
		}
	}
	return nil
}

func cliUnknownCommand(name string) error {
	message := fmt.Sprintf("there is no command %q", name)
	if _, err := os.Stat(name); err == nil {
		message += "; to run a file: wasmer-go run " + name
	} else if near := nearest(name, cliCommandNames()); near != "" {
		message += fmt.Sprintf("; is %q meant?", near)
	}
	return &cliStatus{cliMisuse, fmt.Errorf("%s\n%s", message, cliSee("help"))}
}

func cliSee(command string) string {
	if command == "help" {
		return "See: wasmer-go help"
	}
	return "See: wasmer-go help " + command
}

func (c *cliCommand) required() bool { return c.operand != "" && c.operand[0] != '[' }

func (c *cliCommand) option(name string) *cliOption {
	for i := range c.options {
		if c.options[i].name == name {
			return &c.options[i]
		}
	}
	return nil
}

// usage is the command's line in the overview.
func (c *cliCommand) usage() string {
	words := []string{c.name}
	if len(c.options) > 0 {
		words = append(words, "[OPTIONS]")
	}
	if c.operand != "" {
		words = append(words, c.operand)
	}
	if c.second != "" {
		words = append(words, c.second)
	}
	if c.guest {
		words = append(words, "[ARGS...]")
	}
	return strings.Join(words, " ")
}

// text is the help.
func (c *cliCommand) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wasmer-go %s\n\n%s%s.\n", c.usage(), strings.ToUpper(c.summary[:1]), c.summary[1:])
	if len(c.options) > 0 {
		b.WriteString("\n" + c.optionsText())
	}
	if c.notes != "" {
		b.WriteString("\n" + strings.Trim(c.notes, "\n") + "\n")
	}
	if c.examples != "" {
		b.WriteString("\nExamples:\n" + strings.Trim(c.examples, "\n") + "\n")
	}
	return b.String()
}

func (c *cliCommand) optionsText() string {
	width := 0
	for _, option := range c.options {
		width = max(width, len(option.usage()))
	}
	var b strings.Builder
	for _, option := range c.options {
		head := option.usage()
		for line := range strings.SplitSeq(option.summary, "\n") {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, head, line)
			head = ""
		}
	}
	return b.String()
}

// flag is the option as it is written.
func (o *cliOption) flag() string {
	if len(o.name) == 1 {
		return "-" + o.name
	}
	return "--" + o.name
}

func (o *cliOption) usage() string { return strings.TrimSpace(o.flag() + " " + o.value) }

// short is the first line of the summary.
func (o *cliOption) short() string {
	line, _, _ := strings.Cut(o.summary, "\n")
	return strings.TrimRight(line, ",;:")
}

func cliOverview() string {
	var b strings.Builder
	b.WriteString("wasmer-go runs, compiles, inspects, validates and translates WebAssembly modules.\n\nCommands:\n")
	for _, command := range cliCommands() {
		fmt.Fprintf(&b, "  %-30s %s\n", command.usage(), command.summary)
	}
	b.WriteString(`
FILE is a .wasm binary, .wat text or what compile has made, told apart by its content;
- reads stdin.
wasmer-go help COMMAND tells more.

Exit status: that of the guest; 1 the operation failed, 2 wrong usage, 124 the time
was over, 134 the guest trapped, 128 + N it was stopped by signal N.
`)
	return b.String()
}

func (c *cli) help(context.Context) error {
	if !c.named {
		c.out.WriteString(cliOverview())
		return nil
	}
	command := cliFind(c.file)
	if command == nil {
		return cliUsagef("there is no command %q", c.file)
	}
	c.out.WriteString(command.text())
	return nil
}

func (c *cli) version(context.Context) error {
	fmt.Fprintf(&c.out, "wasmer-go  %s\nwasmer     %s\ntarget     %s\ncompilers  %s\ngo         %s\n",
		Version(), EngineVersion(), Target(), strings.Join(cliCompilers(), ", "), runtime.Version())
	return nil
}
