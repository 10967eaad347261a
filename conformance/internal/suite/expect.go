package suite

import (
	"errors"
	"fmt"
)

func (r *runner) assertReturn(c Command) error {
	results, err := r.act(c.Action)
	if err != nil {
		return err
	}
	if len(results) != len(c.Expected) {
		return fmt.Errorf("%d results %v, want %v", len(results), results, c.Expected)
	}
	for i, want := range c.Expected {
		ok, err := want.matches(results[i])
		if err != nil {
			return fmt.Errorf("expected %v: %w", want, err)
		}
		if !ok {
			return fmt.Errorf("result %v, want %v", results[i], want)
		}
	}
	return nil
}

// superseded are errors that scripts of old proposals want for what other proposals have allowed since.
var superseded = map[string]string{
	"multiple memories": "multi-memory",
	"multiple tables":   "reference-types",
}

// assertRefused takes any error for a refusal, also one that names an unsupported feature: it is about this module.
func (r *runner) assertRefused(c Command) error {
	err := r.compile(c.Source).err
	var broken *Broken
	var unsupported *Unsupported
	switch {
	case err == nil && (c.Type == "assert_invalid_custom" || c.Type == "assert_malformed_custom"):
		return &Unsupported{Feature: "annotations", Err: errors.New("engines may ignore custom sections")}
	case err == nil && superseded[c.Text] != "":
		return &Unsupported{Feature: "superseded: " + superseded[c.Text], Err: errors.New("later specifications accept it")}
	case err == nil:
		return fmt.Errorf("accepted, want: %s", c.Text)
	case errors.As(err, &broken), errors.As(err, &unsupported) && unsupported.API:
		return err
	}
	return nil
}

// expectTrap turns the outcome of a call that should trap into that of its assertion.
func expectTrap(err error, text string) error {
	var trap *Trap
	switch {
	case err == nil:
		return fmt.Errorf("no trap, want: %s", text)
	case !errors.As(err, &trap):
		return fmt.Errorf("want the trap %q: %w", text, err)
	case !trap.is(text):
		return fmt.Errorf("trap %q %q, want: %s", trap, trap.Kinds, text)
	}
	return nil
}

func expectException(err error) error {
	var exception *Exception
	switch {
	case err == nil:
		return errors.New("returned, want an exception")
	case !errors.As(err, &exception):
		return fmt.Errorf("want an exception: %w", err)
	}
	return nil
}

func expectUnlinkable(err error) error {
	var unlinkable *Unlinkable
	switch {
	case err == nil:
		return errors.New("linked")
	case !errors.As(err, &unlinkable):
		return fmt.Errorf("want an error of linking: %w", err)
	}
	return nil
}
