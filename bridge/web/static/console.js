// Small additions to the pages, which are complete without it: they are rendered on the server.
(function () {
  "use strict";

  // An open page asks for /healthz every five seconds. When the service does not respond, the page must not look current.
  var lost = document.getElementById("lost");
  var since = null;
  var failing = {}; // the last failure of each address: one that works again must not hide another that does not

  function update() {
    var texts = Object.keys(failing).map(function (path) { return failing[path]; });
    lost.hidden = texts.length === 0;
    since = texts.length ? since || new Date() : null;
    if (since) lost.textContent = texts[0] + " since " + since.toLocaleTimeString() + ". The figures on this page are from before.";
  }

  function failed(event) {
    var status = event.detail.xhr ? event.detail.xhr.status : 0;
    failing[event.detail.pathInfo.requestPath] =
      status === 401 ? "Logged out" : status ? "The bridge responds with errors (" + status + ")" : "The bridge is not reachable";
    update();
  }

  if (lost) {
    document.body.addEventListener("htmx:sendError", failed);
    document.body.addEventListener("htmx:timeout", failed);
    document.body.addEventListener("htmx:responseError", failed);
    document.body.addEventListener("htmx:afterOnLoad", function (event) {
      if (event.detail.xhr.status >= 400) return;
      delete failing[event.detail.pathInfo.requestPath];
      update();
    });
  }

  // The exact time in the time zone of the reader, in addition to UTC.
  function localTimes(root) {
    root.querySelectorAll("time[datetime]").forEach(function (element) {
      var at = new Date(element.getAttribute("datetime"));
      if (isNaN(at) || element.title.indexOf("local time") >= 0) return;
      element.title = (element.title ? element.title + "\n" : "") + at.toLocaleString() + " local time";
    });
  }
  localTimes(document);
  document.body.addEventListener("htmx:afterSwap", function () { localTimes(document); });

  // A select that filters the page submits its form; the button is for readers without JavaScript.
  document.querySelectorAll("form[data-autosubmit]").forEach(function (form) {
    form.addEventListener("change", function () { form.submit(); });
  });
})();
