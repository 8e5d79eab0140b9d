// Shows the description of this server. The badge of a public validator is left out, because the
// page loads nothing from elsewhere.
SwaggerUIBundle({
  url: "../../openapi.json",
  dom_id: "#api",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
