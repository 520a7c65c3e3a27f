// From when to when each level is confirmed, a row a domain; dotted where it came or went between two observations.

const THICK = { selective: 2, specific: 5, general: 9 };

function levelsPanel(host) {
  const verdicts = data.emergence.verdicts, steps = data.emergence.steps;
  frame(host, "Levels, over all readouts", "The thicker the bar the higher the level; dotted between the two observations that enclose a change.");
  const picture = svg("svg", { role: "img", "aria-label": "Levels of each domain over training; the verdicts above say the same in words" });
  host.append(picture);
  let marks = null;
  const placeOf = new Map(data.axis.steps.map((step, place) => [step, place]));
  const draw = (width) => {
    const row = 22, top = 4, bottom = top + row * verdicts.length, across = acrossScale(width);
    const x = (step) => across.of(placeOf.get(step));
    picture.replaceChildren();
    fill(picture, { viewBox: `0 0 ${width} ${bottom + 6}`, height: bottom + 6 }, []);
    verdicts.forEach((verdict, domain) => {
      const y = top + row * (domain + 0.5), style = `d${domain}`;
      picture.append(svg("rect", { class: "row", x: LEFT, width: width - LEFT - RIGHT, y: y - 9, height: 18 }));
      picture.append(marker(domain, LEFT - 14, y, 4.5, true));
      let any = false;
      for (const [level, thickness] of Object.entries(THICK)) {
        for (const episode of verdict.episodes[level]) {
          any = true;
          const until = episode.lost_after === null ? lastKnown(domain, steps) : episode.lost_after;
          picture.append(svg("line", { class: `bar ${style}`, x1: x(episode.by), x2: Math.max(x(until), x(episode.by) + 1), y1: y, y2: y, "stroke-width": thickness },
            svg("title", {}, `${data.domains[domain].name}: ${level} from step ${episode.by} on`)));
          for (const [before, after] of [[episode.after, episode.by], [episode.lost_after, episode.lost_by]]) {
            if (before === null || after === null) continue;
            picture.append(svg("line", { class: `between ${style}`, x1: x(before), x2: x(after), y1: y, y2: y }));
          }
        }
      }
      if (!any) picture.append(svg("text", { class: "dim", x: LEFT + 8, y: y + 4 }, data.domains[domain].standing));
    });
    marks = { across, cursor: svg("line", { class: "cursor", y1: 0, y2: bottom }) };
    picture.append(marks.cursor);
    moveCursor();
  };
  const moveCursor = () => {
    if (marks) fill(marks.cursor, { x1: marks.across.of(now()), x2: marks.across.of(now()) }, []);
  };
  watchers.push(moveCursor);
  drawn(host, draw);
}
function lastKnown(domain, steps) {
  const holds = data.timeline.holds;
  for (let place = data.axis.steps.length - 1; holds && place >= 0; place--) {
    if (holds[domain][place] !== null) return data.axis.steps[place];
  }
  return steps[steps.length - 1];
}
