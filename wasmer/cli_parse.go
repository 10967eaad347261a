package wasmer

import (
	"errors"
	"fmt"
	"strings"
)

// cliUsageError is a command line that makes no sense.
type cliUsageError struct{ message string }

func (e *cliUsageError) Error() string { return e.message }

func cliUsagef(format string, args ...any) error { return &cliUsageError{fmt.Sprintf(format, args...)} }

var errCLIHelp = errors.New("help is asked for")

// parse sorts the words of a command line. Package flag ends at the first word that is no option, and cannot end after one
// that is.
func (c *cli) parse(words []string) error {
	literal := false
	for len(words) > 0 && !c.parsed() {
		word := words[0]
		words = words[1:]
		var err error
		switch {
		case literal || word == "-" || !strings.HasPrefix(word, "-"):
			err = c.parseOperand(word)
		case word == "--":
			literal = true
		default:
			words, err = c.parseOption(word, words)
		}
		if err != nil {
			return err
		}
	}
	c.rest = words
	return nil
}

// parsed says that what follows belongs to a guest: -1 is a number from here on, and -h an option of the guest's.
func (c *cli) parsed() bool {
	return c.command.guest && c.named && (!c.library || c.has("invoke"))
}

// guestWords are the words for the guest. One -- before them is not part of them.
func (c *cli) guestWords() []string {
	if len(c.rest) > 0 && c.rest[0] == "--" {
		return c.rest[1:]
	}
	return c.rest
}

func (c *cli) parseOperand(word string) error {
	operand := c.command.operand
	switch {
	case operand == "":
		return cliUsagef("takes no argument, but is given %q", word)
	case word == "":
		return cliUsagef("the name of the %s is empty", strings.ToLower(strings.Trim(operand, "[]")))
	case c.library:
		return cliUsagef("unexpected %q after the file %q, which has no _start to take arguments; arguments follow --invoke NAME",
			word, c.file)
	case c.named && c.command.second != "" && c.second == "":
		c.second = word
		return nil
	case c.named:
		return cliUsagef("unexpected %q after %q", word, c.file)
	}
	c.file, c.named = word, true
	return nil
}

// parseOption takes an option, and its value from the words that follow. It gives the words that are left.
func (c *cli) parseOption(word string, words []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
	if name == "h" || name == "help" {
		return nil, errCLIHelp
	}
	option := c.command.option(name)
	if short := c.command.option(name[:min(1, len(name))]); option == nil && short != nil && short.value != "" && !strings.HasPrefix(word, "--") {
		option, name, value, given = short, name[:1], word[2:], true // -O3
	}
	if option == nil {
		return nil, c.unknownOption(word, name)
	}
	valued := option.value != ""
	switch {
	case c.has(name) && !option.repeated:
		return nil, cliUsagef("the option %s is given twice", word)
	case given && !valued:
		return nil, cliUsagef("the option %s takes no value", word)
	case valued && !given && len(words) == 0:
		return nil, cliUsagef("the option %s lacks its value", word)
	case valued && !given:
		value, words = words[0], words[1:]
	}
	c.options[name] = append(c.options[name], value)
	return words, nil
}

func (c *cli) unknownOption(word, name string) error {
	message := fmt.Sprintf("there is no option %q", word)
	var names []string
	for _, option := range c.command.options {
		names = append(names, option.name)
	}
	if near := nearest(name, names); near != "" {
		message += fmt.Sprintf("; is %q meant?", c.command.option(near).flag())
	} else if c.command.guest && !c.named {
		message += "; options of the guest follow FILE"
	}
	return cliUsagef("%s", message)
}
