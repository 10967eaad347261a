package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// A theme is what a drawing's text and lines are drawn with. The background is the drawing's own, for a page can be dark where
// the reader's system is light.
type theme struct{ background, text, faint, grid string }

var (
	light = theme{background: "#ffffff", text: "#1f2328", faint: "#59636e", grid: "#d1d9e0"}
	dark  = theme{background: "#0d1117", text: "#f0f6fc", faint: "#9198a1", grid: "#3d444d"}
)

// A style is how a runtime looks: by its shape too, for who does not see the colour. Colours stand out on both themes.
type style struct{ colour, shape string }

var styles = map[string]style{
	cranelift:            {"#2f81f7", "circle"},
	singlepass:           {"#0d9488", "circle"},
	llvm:                 {"#8b5cf6", "circle"},
	unoptimized:          {"#64748b", "circle"},
	wazero:               {"#c2650c", "square"},
	"wazero-interpreter": {"#a16207", "square"},
	wasmtime:             {"#dc2f55", "triangle"},
	native:               {"#6b7280", "diamond"},
	nativeCC:             {"#6b7280", "diamond"},
	nativeClang:          {"#4d7c0f", "diamond"},
	yardstick.runtime:    {"#6b7280", "diamond"},
	"":                   {"#be4bdb", "diamond"}, // any other one
}

func styleOf(runtime string) style {
	if s, known := styles[runtime]; known {
		return s
	}
	return styles[""]
}

// A drawing is an SVG under way.
type drawing struct{ body bytes.Buffer }

// text writes with the anchor "start", "middle" or "end"; class is empty or one of the style sheet.
func (d *drawing) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(&d.body, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>`, x, y, anchor, classed(class))
	_ = xml.EscapeText(&d.body, []byte(text)) // a buffer takes everything
	d.body.WriteString("</text>\n")
}

func (d *drawing) line(x1, y1, x2, y2 float64, class, colour string) {
	if colour != "" {
		colour = fmt.Sprintf(` stroke="%s"`, colour)
	}
	fmt.Fprintf(&d.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"%s%s/>`+"\n", x1, y1, x2, y2, classed(class), colour)
}

func classed(class string) string {
	if class == "" {
		return ""
	}
	return fmt.Sprintf(` class="%s"`, class)
}

// mark draws a runtime's shape; hint is shown to who points at it.
func (d *drawing) mark(s style, x, y float64, hint string) {
	const r = 3.5
	var shape string
	switch s.shape {
	case "square":
		shape = fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"`, x-r, y-r, 2*r, 2*r)
	case "triangle":
		shape = fmt.Sprintf(`<path d="M%.1f %.1fl%.1f %.1fh%.1fz"`, x, y-r-0.5, r+0.5, 2*r, -2*r-1)
	case "diamond":
		shape = fmt.Sprintf(`<path d="M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz"`, x, y-r-1, r+1, r+1, -r-1, r+1, -r-1, -r-1)
	default:
		shape = fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="%.1f"`, x, y, r)
	}
	fmt.Fprintf(&d.body, `%s fill="%s"><title>`, shape, s.colour)
	_ = xml.EscapeText(&d.body, []byte(hint))
	name, _, _ := strings.Cut(shape[1:], " ")
	fmt.Fprintf(&d.body, "</title></%s>\n", name)
}

// finish gives the whole file.
func (d *drawing) finish(width, height float64, title string) []byte {
	sheet := func(t theme) string {
		return fmt.Sprintf(".page{fill:%s}text{fill:%s}.faint{fill:%s}.grid{stroke:%s}", t.background, t.text, t.faint, t.grid)
	}
	var file bytes.Buffer
	fmt.Fprintf(&file, `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n",
		width, height, width, height)
	file.WriteString("<title>")
	_ = xml.EscapeText(&file, []byte(title))
	file.WriteString("</title>\n<style>text{font:12px system-ui,sans-serif}.title{font-size:15px;font-weight:600}line{stroke-width:1.5}.grid{stroke-width:1}" +
		sheet(light) + "@media(prefers-color-scheme:dark){" + sheet(dark) + "}</style>\n" +
		`<rect class="page" width="100%" height="100%" rx="6"/>` + "\n")
	file.Write(d.body.Bytes())
	file.WriteString("</svg>\n")
	return file.Bytes()
}
