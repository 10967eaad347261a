// Package pprof writes profiles in the format of pprof: a compressed protocol buffer.
//
// See https://github.com/google/pprof/blob/main/proto/profile.proto
package pprof

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"time"
)

// Line is a place in a function. Of inlined calls a location has several, innermost first.
type Line struct {
	// Name is what people know the function as, SystemName what the linker does.
	Name, SystemName, File string
	Line                   int
}

// Location is where the code of one address comes from.
type Location struct {
	// Module is what holds the code, Address where in it.
	Module  string
	Address uint64
	Lines   []Line
}

// Sample is a stack and how often it was seen. Locations are indexes, innermost first.
type Sample struct {
	Count     int64
	Locations []int
}

// Profile is CPU time by stack.
type Profile struct {
	Start    time.Time
	Duration time.Duration
	// Period is the CPU time between two samples.
	Period    time.Duration
	Locations []Location
	Samples   []Sample
	Comments  []string
}

// Write writes the profile.
func (p *Profile) Write(w io.Writer) error {
	compressed := gzip.NewWriter(w)
	if _, err := compressed.Write(p.encode()); err != nil {
		return err
	}
	return compressed.Close()
}

// The fields of the messages, as the format numbers them.
const (
	profileSampleType, profileSample, profileMapping, profileLocation = 1, 2, 3, 4
	profileFunction, profileStrings, profileTime, profileDuration     = 5, 6, 9, 10
	profilePeriodType, profilePeriod, profileComment                  = 11, 12, 13
	typeType, typeUnit                                                = 1, 2
	sampleLocation, sampleValue                                       = 1, 2
	mappingID, mappingFile, mappingHasFunctions                       = 1, 5, 7
	mappingHasFiles, mappingHasLines, mappingHasInlines               = 8, 9, 10
	locationID, locationMapping, locationAddress, locationLine        = 1, 2, 3, 4
	lineFunction, lineLine                                            = 1, 2
	functionID, functionName, functionSystemName, functionFile        = 1, 2, 3, 4
)

// message is a protocol buffer. A field of 0 is left out.
type message []byte

func (m *message) number(field int, n uint64) {
	if n != 0 {
		*m = binary.AppendUvarint(binary.AppendUvarint(*m, uint64(field)<<3), n)
	}
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(binary.AppendUvarint(*m, uint64(field)<<3|2), uint64(len(b)))
	*m = append(*m, b...)
}

func (m *message) numbers(field int, list []uint64) {
	var packed []byte
	for _, n := range list {
		packed = binary.AppendUvarint(packed, n)
	}
	m.bytes(field, packed)
}

// table gives numbers to what is stored once. The zero value stands for the first, which it holds.
type table[T comparable] struct {
	all   []T
	index map[T]uint64
}

func newTable[T comparable](first T) *table[T] {
	return &table[T]{all: []T{first}, index: map[T]uint64{first: 0}}
}

func (t *table[T]) number(value T) uint64 {
	n, ok := t.index[value]
	if !ok {
		n = uint64(len(t.all))
		t.all = append(t.all, value)
		t.index[value] = n
	}
	return n
}

func (p *Profile) encode() []byte {
	var out message
	text := newTable("")
	functions := newTable(Line{})
	modules := newTable("\x00") // mappings have numbers from 1 on, also one without a name

	valueType := func(field int, typ, unit string) {
		var m message
		m.number(typeType, text.number(typ))
		m.number(typeUnit, text.number(unit))
		out.bytes(field, m)
	}
	valueType(profileSampleType, "samples", "count")
	valueType(profileSampleType, "cpu", "nanoseconds")
	valueType(profilePeriodType, "cpu", "nanoseconds")
	out.number(profilePeriod, uint64(p.Period))
	out.number(profileTime, uint64(p.Start.UnixNano()))
	out.number(profileDuration, uint64(p.Duration))
	for _, comment := range p.Comments {
		out.number(profileComment, text.number(comment))
	}
	for _, sample := range p.Samples {
		ids := make([]uint64, len(sample.Locations))
		for i, location := range sample.Locations {
			ids[i] = uint64(location) + 1
		}
		var m message
		m.numbers(sampleLocation, ids)
		m.numbers(sampleValue, []uint64{uint64(sample.Count), uint64(sample.Count) * uint64(p.Period)})
		out.bytes(profileSample, m)
	}
	for i, location := range p.Locations {
		var m message
		m.number(locationID, uint64(i)+1)
		m.number(locationMapping, modules.number(location.Module))
		m.number(locationAddress, location.Address)
		for _, line := range location.Lines {
			number := line.Line
			line.Line = 0
			var l message
			l.number(lineFunction, functions.number(line))
			l.number(lineLine, uint64(number))
			m.bytes(locationLine, l)
		}
		out.bytes(profileLocation, m)
	}
	for i, module := range modules.all[1:] {
		var m message
		m.number(mappingID, uint64(i)+1)
		m.number(mappingFile, text.number(module))
		for _, has := range []int{mappingHasFunctions, mappingHasFiles, mappingHasLines, mappingHasInlines} {
			m.number(has, 1)
		}
		out.bytes(profileMapping, m)
	}
	for i, function := range functions.all[1:] {
		var m message
		m.number(functionID, uint64(i)+1)
		m.number(functionName, text.number(function.Name))
		m.number(functionSystemName, text.number(function.SystemName))
		m.number(functionFile, text.number(function.File))
		out.bytes(profileFunction, m)
	}
	for _, s := range text.all {
		out.bytes(profileStrings, []byte(s))
	}
	return out
}
