package suite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Value is what goes into and comes out of a runtime.
type Value struct {
	// Type is a type of the text format: "i32", "v128", "funcref", "anyref" ...
	Type string
	// Lo and Hi are the bits. A host's externref has its number in Lo.
	Lo, Hi uint64
	// Null is set for null references.
	Null bool
	// Opaque is set for references of which nothing but this is known.
	Opaque bool
}

// IsReference reports whether a value of this type is a reference.
func IsReference(valueType string) bool { return strings.HasSuffix(valueType, "ref") }

func (v Value) String() string {
	switch {
	case v.Null:
		return v.Type + " null"
	case v.Opaque:
		return v.Type
	case v.Type == "v128":
		return fmt.Sprintf("v128 %#016x %#016x", v.Lo, v.Hi)
	}
	return fmt.Sprintf("%s %#x", v.Type, v.Lo)
}

// A Const is an argument, or a pattern for a result.
type Const struct {
	Type     string  `json:"type"`
	LaneType string  `json:"lane_type"`
	Values   []Const `json:"values"`
	// Value is a number, a NaN pattern, "null", or a list of these; absent for any non-null reference.
	Value json.RawMessage `json:"value"`
}

func (c Const) String() string {
	if c.Type == "either" {
		return fmt.Sprint("either ", c.Values)
	}
	return strings.TrimSpace(c.Type + " " + c.LaneType + " " + string(c.Value))
}

// argument is the value of a constant without patterns.
func (c Const) argument() (Value, error) {
	v := Value{Type: c.Type}
	text := c.text()
	switch {
	case c.nullType() || text == "null":
		v.Null = true
		return v, nil
	case IsReference(c.Type):
		n, err := strconv.ParseUint(text, 10, 32)
		v.Lo = n
		return v, err
	case c.Type == "v128":
		err := c.eachLane(func(shift, width int, text string) error {
			bits, err := parseBits(text, width)
			put(&v, shift, bits)
			return err
		})
		return v, err
	}
	bits, err := parseBits(text, bitWidth(c.Type))
	v.Lo = bits
	return v, err
}

// matches reports whether a result is what the script expects.
func (c Const) matches(v Value) (bool, error) {
	text := c.text()
	switch {
	case c.Type == "either":
		for _, alternative := range c.Values {
			if ok, err := alternative.matches(v); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	case c.nullType() || text == "null":
		return v.Null && IsReference(v.Type), nil // the type of a null is the signature's, which validation checks
	case IsReference(c.Type):
		return c.matchesReference(v, text)
	case c.Type != v.Type:
		return false, nil
	case c.Type == "v128":
		equal := true
		err := c.eachLane(func(shift, width int, text string) error {
			ok, err := matchesBits(text, width, get(v, shift, width))
			equal = equal && ok
			return err
		})
		return equal, err
	}
	return matchesBits(text, bitWidth(c.Type), v.Lo)
}

func (c Const) matchesReference(v Value, text string) (bool, error) {
	if v.Null || !IsReference(v.Type) {
		return false, nil
	}
	if text == "" || c.Type == "funcref" {
		return true, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return !v.Opaque && v.Lo == n, err
}

// nullType reports whether the type alone says that the reference is null.
func (c Const) nullType() bool { return c.Type == "refnull" || strings.HasPrefix(c.Type, "null") }

// text is the constant's value where that is one string; null for references stands as "null".
func (c Const) text() string {
	var s string
	if json.Unmarshal(c.Value, &s) != nil {
		return ""
	}
	return s
}

func (c Const) eachLane(f func(shift, width int, text string) error) error {
	var lanes []string
	if err := json.Unmarshal(c.Value, &lanes); err != nil {
		return err
	}
	width := bitWidth(c.LaneType)
	if width*len(lanes) != 128 {
		return fmt.Errorf("v128 of %d lanes %s", len(lanes), c.LaneType)
	}
	for i, lane := range lanes {
		if err := f(i*width, width, lane); err != nil {
			return err
		}
	}
	return nil
}

func put(v *Value, shift int, bits uint64) {
	if shift < 64 {
		v.Lo |= bits << shift
	} else {
		v.Hi |= bits << (shift - 64)
	}
}

func get(v Value, shift, width int) uint64 {
	bits := v.Lo
	if shift >= 64 {
		bits, shift = v.Hi, shift-64
	}
	return bits >> shift & mask(width)
}

func mask(width int) uint64 { return 1<<width - 1 } // 1<<64 is 0, so that all bits are set

func bitWidth(numberType string) int {
	width, _ := strconv.Atoi(strings.TrimLeft(numberType, "if"))
	return width
}

// parseBits reads an integer, signed or not, or the bits of a float, which are written as an integer too.
func parseBits(text string, width int) (uint64, error) {
	if strings.HasPrefix(text, "-") {
		n, err := strconv.ParseInt(text, 10, width)
		return uint64(n) & mask(width), err
	}
	return strconv.ParseUint(text, 10, width)
}

// matchesBits compares a number, or checks that it is a NaN of the kind.
//
// See https://webassembly.github.io/spec/core/syntax/values.html#floating-point
func matchesBits(text string, width int, bits uint64) (bool, error) {
	if !slices.Contains([]string{"nan:canonical", "nan:arithmetic"}, text) {
		want, err := parseBits(text, width)
		return bits == want, err
	}
	canonical := uint64(0x7fc0_0000)
	if width == 64 {
		canonical = 0x7ff8_0000_0000_0000
	}
	bits &= mask(width - 1) // either sign
	if text == "nan:canonical" {
		return bits == canonical, nil
	}
	return bits&canonical == canonical, nil
}
